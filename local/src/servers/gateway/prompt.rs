//! How large a request is to the model.

use serde_json::{Map, Value};

/// A rule of thumb for text in European languages.
const BYTES_PER_TOKEN: i64 = 4;
/// Errs on the large side.
const BYTES_PER_TOKEN_AT_MOST: i64 = 2;
/// Chat templates add tokens around every message and around them all.
const TOKENS_AROUND: i64 = 8;
/// What the gateway itself adds to a body: a model, a limit, the wish for usage.
const BYTES_ADDED: i64 = 40;
const BYTES_ADDED_TO_STREAMS: i64 = 48;
/// An image in high detail, and the most that one costs with the models that charge most.
const IMAGE_TOKENS: i64 = 1600;
const IMAGE_TOKENS_AT_MOST: i64 = 50_000;

/// Tokens of a prompt, before the model has counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PromptSize {
    pub(super) expected: i64,
    /// More than that no model should count.
    pub(super) most: i64,
}

/// The size of a whole body: messages with their tool calls and images, tools, schemas, and whatever else it has.
pub(super) fn size(body: &Map<String, Value>, stream: bool) -> PromptSize {
    let mut all = BYTES_ADDED + if stream { BYTES_ADDED_TO_STREAMS } else { 0 };
    let (mut read, mut images, mut images_at_most, mut messages) = (0, 0, 0, 0);
    for (name, value) in body {
        all += length(name) + 4 + json_bytes(value);
        match value.as_array().filter(|_| name == "messages") {
            Some(list) => {
                read += list.iter().map(said_bytes).sum::<i64>();
                messages = i64::try_from(list.len()).unwrap_or(i64::MAX);
                let parts = list.iter().filter_map(|message| message.get("content")?.as_array()).flatten();
                for image in parts.filter(|part| is_image(part)) {
                    // Its data is not text: what a model counts depends on the picture, not on the file.
                    let size = json_bytes(image);
                    all -= size;
                    read -= said_bytes(image);
                    images += IMAGE_TOKENS;
                    images_at_most += (size / BYTES_PER_TOKEN_AT_MOST).clamp(IMAGE_TOKENS, IMAGE_TOKENS_AT_MOST);
                }
            }
            None if matches!(name.as_str(), "stream_options" | "metadata") => {}
            None if value.is_object() || value.is_array() => read += json_bytes(value),
            None => {}
        }
    }
    let text = read / BYTES_PER_TOKEN_AT_MOST + TOKENS_AROUND * messages;
    PromptSize {
        expected: (read + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN + images,
        most: text.max(all / BYTES_PER_TOKEN) + TOKENS_AROUND + images_at_most,
    }
}

fn is_image(part: &Value) -> bool {
    part.get("type").and_then(Value::as_str).is_some_and(|kind| matches!(kind, "image_url" | "input_image"))
        // What stands beside the picture would be text that nobody counts.
        && part.as_object().is_some_and(|part| part.keys().all(|key| matches!(key.as_str(), "type" | "image_url" | "detail")))
}

/// About the length of the value in JSON.
fn json_bytes(value: &Value) -> i64 {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 10,
        Value::String(text) => length(text) + 2,
        Value::Array(all) => 2 + all.iter().map(|one| json_bytes(one) + 1).sum::<i64>(),
        Value::Object(all) => 2 + all.iter().map(|(key, value)| length(key) + 4 + json_bytes(value)).sum::<i64>(),
    }
}

/// The length of a message's texts, its calls' names and arguments included.
pub(super) fn said_bytes(message: &Value) -> i64 {
    match message {
        Value::String(text) => length(text),
        Value::Array(all) => all.iter().map(said_bytes).sum(),
        Value::Object(all) => {
            let said = all.iter().filter(|(key, _)| !matches!(key.as_str(), "role" | "type" | "id" | "tool_call_id"));
            said.map(|(_, value)| said_bytes(value)).sum()
        }
        _ => 0,
    }
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(body: &Value) -> PromptSize {
        size(body.as_object().unwrap(), false)
    }

    #[test]
    fn everything_that_a_model_reads_is_counted() {
        let user = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
        let plain = of(&user(json!("Hello there")));
        assert_eq!(plain.expected, 3, "text alone is a quarter of its length");
        let long = "x".repeat(4000);
        let with = |name: &str, value: Value| {
            let mut body = user(json!("Hello there"));
            body[name] = value;
            body
        };
        let call = json!([{ "id": "c", "type": "function", "function": { "name": "f", "arguments": long } }]);
        let mut called = user(json!("Hello there"));
        called["messages"][0]["tool_calls"] = call;
        for body in [
            user(json!(long)),
            user(json!([{ "type": "text", "text": long }])),
            user(json!([{ "type": "input_audio", "input_audio": { "data": long } }])),
            user(json!([{ "type": "image_url", "image_url": { "url": "http://a" }, "text": long }])),
            with("tools", json!([{ "type": "function", "function": { "name": "f", "description": long } }])),
            with("response_format", json!({ "type": "json_schema", "json_schema": { "name": long } })),
            called,
        ] {
            let PromptSize { expected, most } = of(&body);
            assert!((1000..1100).contains(&expected) && most >= 2000, "{expected} {most}");
        }
        let url = |url: &str| json!([{ "type": "image_url", "image_url": { "url": url } }]);
        for (image, expected, most) in [
            ("http://a/b.png".to_owned(), 1600, 1600),
            (format!("data:image/png;base64,{}", "A".repeat(40_000)), 1600, 20_000),
            (format!("data:image/png;base64,{}", "A".repeat(4_000_000)), 1600, 50_000),
        ] {
            let size = of(&user(url(&image)));
            assert_eq!(size.expected, expected);
            assert!((most..most + 100).contains(&size.most), "{size:?}");
        }
    }
}
