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
    index: f64,
    id: String,
    has_name: bool,
    has_arguments: bool,
}

impl ToolCalls {
    /// Takes the `tool_calls` of one delta.
    pub(crate) fn add(&mut self, pieces: Json<'_>, out: &mut dyn Receive) {
        for (position, piece) in pieces.items().into_iter().enumerate() {
            let function = piece.field("function");
            let text = |json: Option<Json<'_>>| json.and_then(Json::text).unwrap_or_default();
            let index = piece.field("index").and_then(Json::number);
            let id = text(piece.field("id"));
            let name = text(function.and_then(|f| f.field("name")));
            let arguments = function.and_then(|f| f.field("arguments")).map_or_else(String::new, |arguments| {
                // A string of JSON, by the book; some servers send the object itself.
                arguments.text().unwrap_or_else(|| arguments.raw().to_owned())
            });
            // Some servers repeat the name in every piece, and some send each call in one: that is another one.
            let is_whole = !name.is_empty() && Json::parse(&arguments).is_some_and(Json::is_object);
            let slot = self.slot(position, index, &id, !name.is_empty(), is_whole);
            let call = &mut self.calls[slot];
            let new_id = if call.id.is_empty() { &*id } else { "" };
            let new_name = if call.has_name { "" } else { &*name };
            out.tool_call(slot, new_id, new_name, &arguments);
            call.has_name |= !name.is_empty();
            call.has_arguments |= !arguments.is_empty();
            if call.id.is_empty() {
                call.id = id;
            }
        }
    }

    /// By index and id, or by one of them, or by position: servers leave out one or the other, and some say index 0 for
    /// every call, or have a new id for every piece.
    fn slot(&mut self, position: usize, index: Option<f64>, id: &str, has_name: bool, is_whole: bool) -> usize {
        let place = index.unwrap_or(position as f64);
        let mut found = None;
        for (slot, call) in self.calls.iter().enumerate() {
            let may_have_id = !has_name || id.is_empty() || call.id.is_empty();
            if !id.is_empty() && call.id == id && index.is_none_or(|index| call.index == index) {
                return slot;
            } else if call.index == place && may_have_id && !(is_whole && call.has_arguments) {
                found = Some(slot);
            }
        }
        found.unwrap_or_else(|| {
            self.calls.push(Known { index: place, id: String::new(), has_name: false, has_arguments: false });
            self.calls.len() - 1
        })
    }
}
