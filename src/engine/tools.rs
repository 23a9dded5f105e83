//! Tool calls, put together from the pieces of a stream.

use super::receive::Receive;
use crate::json::Json;

/// A call that the model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// The id to answer it by; empty if the server gave none.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// JSON text, as far as it has come.
    pub arguments: String,
}

/// Which calls there are so far. What they hold is the receiver's.
#[derive(Default)]
pub(crate) struct ToolCalls {
    calls: Vec<Known>,
}

struct Known {
    index: Option<f64>,
    id: String,
    has_name: bool,
}

impl ToolCalls {
    /// Takes the `tool_calls` of one delta.
    pub(crate) fn add(&mut self, pieces: Json<'_>, out: &mut dyn Receive) {
        for (position, piece) in pieces.items().into_iter().enumerate() {
            let function = piece.field("function");
            let text = |json: Option<Json<'_>>| json.and_then(Json::text).unwrap_or_default();
            let index = piece.field("index").and_then(Json::number);
            let id = text(piece.field("id"));
            let slot = self.slot(position, index, &id);
            let call = &mut self.calls[slot];
            let new_id = if call.id.is_empty() { &*id } else { "" };
            // Some servers repeat the name in every piece.
            let name = if call.has_name { String::new() } else { text(function.and_then(|f| f.field("name"))) };
            let arguments = function.and_then(|f| f.field("arguments")).map_or_else(String::new, |arguments| {
                // A string of JSON, by the book; some servers send the object itself.
                arguments.text().unwrap_or_else(|| arguments.raw().to_owned())
            });
            out.tool_call(slot, new_id, &name, &arguments);
            call.has_name |= !name.is_empty();
            if call.id.is_empty() {
                call.id = id;
            }
        }
    }

    /// By index, else by id, else by position: servers leave out one or the other, and some say index 0 for every call.
    fn slot(&mut self, position: usize, index: Option<f64>, id: &str) -> usize {
        let fits = |call: &Known| id.is_empty() || call.id.is_empty() || call.id == id;
        let found = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index && fits(call)),
            None if !id.is_empty() => self.calls.iter().position(|call| call.id == id),
            None => (position < self.calls.len()).then_some(position),
        };
        found.unwrap_or_else(|| {
            self.calls.push(Known { index, id: String::new(), has_name: false });
            self.calls.len() - 1
        })
    }
}
