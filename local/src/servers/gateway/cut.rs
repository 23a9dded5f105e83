//! Shortens a whole answer, as a stream is ended that gets too long.

use serde_json::{Value, json};

/// Leaves so many bytes of what the choices say together, and says that they hold so many tokens.
pub(super) fn shorten(completion: &mut Value, bytes: usize, tokens: i64) {
    let mut left = bytes;
    let choices = completion.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten().filter_map(Value::as_object_mut) {
        // What else there is says it all again: the log of its tokens, for example.
        choice.retain(|name, _| matches!(name.as_str(), "index" | "message"));
        choice.insert("finish_reason".to_owned(), json!("length"));
        if let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) {
            // Half a tool call is none.
            message.retain(|name, value| matches!(name.as_str(), "role" | "content") || value.is_string());
            for (_, value) in message.iter_mut().filter(|(name, _)| *name != "role") {
                match value {
                    Value::String(text) => shorten_text(text, &mut left),
                    Value::Array(parts) => parts.retain_mut(|part| match part.get_mut("text") {
                        Some(Value::String(text)) if left > 0 => {
                            shorten_text(text, &mut left);
                            true
                        }
                        _ => false,
                    }),
                    _ => {}
                }
            }
        }
    }
    if let Some(usage) = completion.get_mut("usage").and_then(Value::as_object_mut) {
        let prompt = usage.get("prompt_tokens").and_then(Value::as_i64).unwrap_or_default();
        usage.insert("completion_tokens".to_owned(), json!(tokens));
        usage.insert("total_tokens".to_owned(), json!(prompt.saturating_add(tokens)));
    }
}

fn shorten_text(text: &mut String, left: &mut usize) {
    let end = (0..=text.len().min(*left)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.truncate(end);
    *left -= end;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_upstream_sends_is_cut_to_the_same_length() {
        let cut = |choices: Value| {
            let mut completion = json!({ "choices": choices });
            shorten(&mut completion, 5, 1);
            completion["choices"].take()
        };
        let whole = json!({ "role": "assistant", "content": "one two", "tool_calls": [{ "id": "c" }] });
        let logged =
            json!({ "index": 0, "finish_reason": "stop", "message": whole, "logprobs": { "content": ["one two"] } });
        let part = |text: &str| json!({ "type": "text", "text": text });
        let short = |content: Value| json!([{ "finish_reason": "length", "index": 0, "message": { "role": "assistant", "content": content } }]);
        assert_eq!(cut(json!([logged])), short(json!("one t")));
        let parts = |all: &[&str]| all.iter().map(|text| part(text)).collect::<Value>();
        let message = json!({ "role": "assistant", "content": parts(&["one ", "two", "three"]) });
        assert_eq!(cut(json!([{ "index": 0, "message": message }])), short(parts(&["one ", "t"])));
        let nonsense = json!(["a choice", 1, null, { "message": "one two" }, { "message": { "content": 5 } }]);
        assert!(cut(nonsense).is_array());
        assert_eq!(cut(json!("none")), json!("none"));
    }
}
