//! How large a request is to the model.

use serde_json::{Map, Value};

/// A rule of thumb for text in European languages.
const BYTES_PER_TOKEN: i64 = 4;
/// Chat templates add tokens around every message and around them all.
const TOKENS_AROUND: i64 = 8;
/// What the gateway itself adds to a body: a model, a limit, the wish for usage.
const BYTES_ADDED: i64 = 40;
const BYTES_ADDED_TO_STREAMS: i64 = 48;
/// An image in high detail with most models.
const IMAGE_TOKENS: i64 = 1600;

/// How many tokens a model may count, before it has counted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    bytes_per_token: i64,
    image: i64,
}

impl Bounds {
    /// The responder built in here counts words.
    pub(super) const BUILTIN: Self = Self { bytes_per_token: 2, image: IMAGE_TOKENS };

    /// No tokenizer makes more tokens of a text than it has bytes, and some make as many, of digits or of rare scripts. What
    /// an image costs depends on its pixels and on the model, not on its bytes.
    pub(super) const fn of_any_model(image: i64) -> Self {
        Self { bytes_per_token: 1, image }
    }
}

/// About how many tokens the body's prompt has.
pub(super) fn expected(body: &Map<String, Value>) -> i64 {
    let Measures { read, images, .. } = Measures::of(body);
    (read + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN + images.saturating_mul(IMAGE_TOKENS)
}

/// How many tokens a model may count at most for the body that it gets.
pub(super) fn at_most(body: &Map<String, Value>, stream: bool, bounds: Bounds) -> i64 {
    let Measures { read, all, messages, images } = Measures::of(body);
    let added = BYTES_ADDED + if stream { BYTES_ADDED_TO_STREAMS } else { 0 };
    let text = read / bounds.bytes_per_token + TOKENS_AROUND * messages;
    // What is no text, such as settings, is read by no model known: half is margin enough.
    let whole = (all + added) / (2 * bounds.bytes_per_token);
    text.max(whole).saturating_add(TOKENS_AROUND).saturating_add(images.saturating_mul(bounds.image))
}

/// What a body is made of: messages with their tool calls and images, tools, schemas, and whatever else it has.
#[derive(Default)]
struct Measures {
    /// Bytes of what a model reads.
    read: i64,
    /// Bytes of everything but images' addresses.
    all: i64,
    messages: i64,
    /// And other attachments.
    images: i64,
}

impl Measures {
    fn of(body: &Map<String, Value>) -> Self {
        let mut sum = Self::default();
        for (name, value) in body {
            sum.all += length(name) + 4 + json_bytes(value);
            match value.as_array().filter(|_| name == "messages") {
                Some(list) => {
                    sum.read += list.iter().map(said_bytes).sum::<i64>();
                    sum.messages = i64::try_from(list.len()).unwrap_or(i64::MAX);
                    let contents = list.iter().filter_map(|message| message.get("content"));
                    for part in contents.flat_map(parts).filter(|part| is_attachment(part)) {
                        // The address of an image is not read, nor is its data where that stands in it.
                        let address = part.pointer("/image_url/url").or_else(|| part.get("image_url"));
                        let address = address.and_then(Value::as_str).map_or(0, length);
                        sum.all -= address;
                        sum.read -= address;
                        sum.images += 1;
                    }
                }
                None if matches!(name.as_str(), "stream_options" | "metadata") => {}
                None if value.is_object() || value.is_array() => sum.read += json_bytes(value),
                None => {}
            }
        }
        sum
    }
}

/// The parts of a message's content.
fn parts(content: &Value) -> impl Iterator<Item = &Value> {
    let one = content.is_object().then_some(content);
    one.into_iter().chain(content.as_array().into_iter().flatten())
}

/// Anything but text costs what an image may cost; sound is longer than that, and counts by its bytes.
fn is_attachment(part: &Value) -> bool {
    match part.get("type").and_then(Value::as_str) {
        Some(kind) => !matches!(kind, "text" | "input_text" | "output_text" | "refusal" | "input_audio"),
        None => part.is_object() && !part.get("text").is_some_and(Value::is_string),
    }
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

    const ANY: Bounds = Bounds::of_any_model(50_000);

    fn of(body: &Value, bounds: Bounds) -> (i64, i64) {
        let body = body.as_object().unwrap();
        (expected(body), at_most(body, false, bounds))
    }

    #[test]
    fn everything_that_a_model_reads_is_counted() {
        let user = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
        let plain = of(&user(json!("Hello there")), ANY);
        assert_eq!(plain.0, 3, "text alone is a quarter of its length");
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
            with("tools", json!([{ "type": "function", "function": { "name": "f", "description": long } }])),
            with("response_format", json!({ "type": "json_schema", "json_schema": { "name": long } })),
            called,
        ] {
            let (expected, most) = of(&body, ANY);
            assert!((1000..1100).contains(&expected) && most >= 4000, "{expected} {most}");
            assert!(of(&body, Bounds::BUILTIN).1 >= 2000);
        }
        for name in ["metadata", "stream_options", "user"] {
            let (expected, most) = of(&with(name, json!(long)), ANY);
            assert!(expected < 100 && most >= 2000, "{name}: {expected} {most}");
        }
    }

    #[test]
    fn an_image_costs_the_same_however_small_its_file_is() {
        for url in ["http://a/b.png".to_owned(), format!("data:image/png;base64,{}", "A".repeat(40_000))] {
            let image = json!([{ "type": "image_url", "image_url": { "url": url } }]);
            let body = json!({ "messages": [{ "role": "user", "content": image }] });
            let (expected, most) = of(&body, ANY);
            assert_eq!(expected, 1600);
            assert!((50_000..50_100).contains(&most), "{most}");
            assert!((1600..1700).contains(&of(&body, Bounds::BUILTIN).1));
        }
        let user = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
        let beside = json!([{ "type": "image_url", "image_url": { "url": "http://a" }, "text": "x".repeat(4000) }]);
        assert!(of(&user(beside), ANY).1 >= 54_000, "a text beside it counts, too");
        for part in [
            json!({ "type": "image_url", "image_url": { "url": "http://a" }, "cache_control": {} }),
            json!({ "type": "image", "source": { "type": "url", "url": "http://a" } }),
            json!({ "type": "input_image", "image_url": "http://a" }),
            json!({ "type": "video_url", "video_url": { "url": "http://a" } }),
            json!({ "type": "file", "file": { "file_id": "a" } }),
            json!({ "image_url": { "url": "http://a" } }),
        ] {
            for content in [json!([part]), part] {
                assert!(of(&user(content.clone()), ANY).1 >= 50_000, "{content}");
            }
        }
    }
}
