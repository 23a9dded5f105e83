//! Shortens a whole answer, as a stream is ended that gets too long.

use serde_json::{Value, json};

/// Leaves so many bytes of what the choices say together, and says that they hold so many tokens.
pub(super) fn shorten(completion: &mut Value, bytes: usize, tokens: i64) {
    let mut left = bytes;
    for choice in completion.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        choice["finish_reason"] = json!("length");
        if let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) {
            // Half a tool call is none.
            message.retain(|name, value| matches!(name.as_str(), "role" | "content") || value.is_string());
            for (_, value) in message.iter_mut().filter(|(name, _)| *name != "role") {
                if let Value::String(text) = value {
                    let end = (0..=left.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
                    text.truncate(end.unwrap_or_default());
                    left = left.saturating_sub(text.len());
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
