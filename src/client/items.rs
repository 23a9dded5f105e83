//! What comes of a stream, until its reader has it.

use crate::engine::Receive;
use crate::json::Text;

/// An item of a stream, and what it changes.
pub(super) enum Item {
    Chunk(String),
    ToolCall {
        slot: usize,
        id: String,
        name: String,
        arguments: String,
    },
    FinishReason(String),
    /// As JSON.
    Usage(String),
}

/// What has come of a stream.
pub(super) type Queue = Vec<Item>;

impl Receive for Queue {
    fn chunk(&mut self, json: &str) {
        self.push(Item::Chunk(json.to_owned()));
    }

    fn text(&mut self, _text: Text<'_>, half: Option<u16>) -> Option<u16> {
        half
    }

    fn tool_call(&mut self, slot: usize, id: &str, name: &str, arguments: &str) {
        let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
        self.push(Item::ToolCall { slot, id, name, arguments });
    }

    fn finish_reason(&mut self, reason: &str) {
        self.push(Item::FinishReason(reason.to_owned()));
    }

    fn usage(&mut self, json: &str) {
        self.push(Item::Usage(json.to_owned()));
    }
}
