//! Puts an answer together from its pieces, for the thread that remembers it.

use serde_json::{Value, json};

/// What the model said so far, in its first choice.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    content: String,
    /// Name, arguments and id of each call, by its index.
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Answer {
    /// Adds a choice's delta, or its whole message.
    pub(crate) fn add(&mut self, choice: &Value, said: &Value) {
        if choice.get("index").and_then(Value::as_u64).unwrap_or_default() != 0 {
            return;
        }
        self.content.push_str(said.get("content").and_then(Value::as_str).unwrap_or_default());
        let pieces = said.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
        for (place, piece) in pieces.enumerate() {
            let index = piece.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
            // Calls come one after another: an index far beyond them is nonsense that must not fill the memory.
            let index = index.unwrap_or(place).min(self.calls.len());
            if index == self.calls.len() {
                self.calls.push(Call::default());
            }
            let text = |pointer: &str| piece.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if let Some(call) = self.calls.get_mut(index) {
                call.id.push_str(text("/id"));
                call.name.push_str(text("/function/name"));
                call.arguments.push_str(text("/function/arguments"));
            }
        }
    }

    /// The assistant's message, if anything was said.
    pub(crate) fn message(self) -> Option<Value> {
        if self.content.is_empty() && self.calls.is_empty() {
            return None;
        }
        let mut message = json!({ "role": "assistant", "content": self.content });
        if !self.calls.is_empty() {
            let call = |Call { id, name, arguments }: Call| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
            message["tool_calls"] = self.calls.into_iter().map(call).collect();
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_wholes_give_the_same_message() {
        let call = json!({ "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{\"a\":1}" } });
        let whole = json!({ "role": "assistant", "content": "One two", "tool_calls": [call] });
        let mut at_once = Answer::default();
        at_once.add(&json!({}), &whole);
        let mut streamed = Answer::default();
        for delta in [
            json!({ "role": "assistant", "content": null }),
            json!({ "content": "One " }),
            json!({ "content": "two" }),
            json!({ "tool_calls": [{ "index": 0, "id": "c1", "function": { "name": "look", "arguments": "" } }] }),
            json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"a\"" } }] }),
            json!({ "tool_calls": [{ "index": 0, "function": { "arguments": ":1}" } }] }),
        ] {
            streamed.add(&json!({ "index": 0 }), &delta);
        }
        streamed.add(&json!({ "index": 1 }), &json!({ "content": "another choice" }));
        assert_eq!(streamed.message(), Some(whole.clone()));
        assert_eq!(at_once.message(), Some(whole));
        assert_eq!(Answer::default().message(), None);
    }
}
