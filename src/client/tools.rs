//! Tool calls, put together from the pieces of a stream.

use crate::parse::Json;

/// A call that the model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The id to answer it by; empty if the server gave none.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// JSON text, as far as it has come.
    pub arguments: String,
}

/// The calls of one answer so far.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    calls: Vec<(Option<u64>, ToolCall)>,
}

impl ToolCalls {
    pub(crate) fn calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.calls.iter().map(|(_, call)| call)
    }

    /// Takes the `tool_calls` of one delta.
    pub(crate) fn add(&mut self, pieces: &Json) {
        for (position, piece) in pieces.items().enumerate() {
            let text = |path: &[&str]| piece.find(path).and_then(|value| value.text()).unwrap_or_default();
            let index = piece.find(&["index"]).and_then(|index| index.number()).map(|index| index as u64);
            let id = text(&["id"]);
            let slot = self.slot(position, index, &id);
            let call = &mut self.calls[slot].1;
            if call.id.is_empty() {
                call.id = id;
            }
            // Some servers repeat the name in every piece.
            if call.name.is_empty() {
                call.name = text(&["function", "name"]);
            }
            call.arguments.push_str(&text(&["function", "arguments"]));
        }
    }

    /// By index, else by id, else by position: servers leave out one or the other, and some say index 0 for every call.
    fn slot(&mut self, position: usize, index: Option<u64>, id: &str) -> usize {
        let fits = |call: &ToolCall| id.is_empty() || call.id.is_empty() || call.id == id;
        let found = match index {
            Some(_) => self.calls.iter().rposition(|(of, call)| *of == index && fits(call)),
            None if !id.is_empty() => self.calls.iter().position(|(_, call)| call.id == id),
            None => (position < self.calls.len()).then_some(position),
        };
        found.unwrap_or_else(|| {
            self.calls.push((index, ToolCall::default()));
            self.calls.len() - 1
        })
    }
}
