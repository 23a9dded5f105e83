//! Requests to JSON and answers from it, by hand: what serde makes of fields that are kept in a map is half as large as the
//! engine. The types implement serde's traits all the same, for applications that store them.

use serde_json::{Map, Number, Value};

use super::chat::{ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Message, Usage};
use crate::json::{Scan, Text, quote};
use crate::platform;
use crate::text::write_digits;

/// The request's JSON text; with `stream`, that of a request for a stream, and of none otherwise. A model or messages among
/// the further fields take the place of the request's own.
pub(super) fn write_request(request: &ChatRequest, stream: bool) -> String {
    let mut out = "{".to_owned();
    if !request.extra.contains_key("model") {
        out.push_str(r#""model":"#);
        quote(&request.model, &mut out);
    }
    if !request.extra.contains_key("messages") {
        separate(&mut out);
        out.push_str(r#""messages":["#);
        request.messages.iter().for_each(|message| write_message(message, &mut out));
        out.push(']');
    }
    let fits = |value: &Value| !stream && value.as_bool() != Some(true);
    for field in request.extra.iter().filter(|(name, value)| *name != "stream" || fits(value)) {
        write_field(field, &mut out);
    }
    out.push_str(if stream { r#","stream":true}"# } else { "}" });
    out
}

fn write_message(message: &Message, out: &mut String) {
    separate(out);
    out.push_str(r#"{"role":"#);
    quote(&message.role, out);
    out.push_str(r#","content":"#);
    write(&message.content, out);
    message.extra.iter().for_each(|field| write_field(field, out));
    out.push('}');
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => quote(text, out),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                separate(out);
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            fields.iter().for_each(|field| write_field(field, out));
            out.push('}');
        }
    }
}

fn write_field((name, value): (&String, &Value), out: &mut String) {
    separate(out);
    quote(name, out);
    out.push(':');
    write(value, out);
}

/// Before each item and field but the first.
fn separate(out: &mut String) {
    if !matches!(out.as_bytes(), [.., b'[' | b'{']) {
        out.push(',');
    }
}

fn write_number(number: &Number, out: &mut String) {
    if let Some(natural) = number.as_u64() {
        write_digits(natural, out);
    } else if let Some(negative) = number.as_i64() {
        out.push('-');
        write_digits(negative.unsigned_abs(), out);
    } else {
        out.push_str(&platform::number_text(number.as_f64().unwrap_or_default()));
    }
}

/// A chunk of a stream, which is JSON; `None` if it has another shape.
pub(super) fn read_chunk(json: &str) -> Option<ChatChunk> {
    let mut chunk = ChatChunk::default();
    chunk.extra = read_object(&mut Scan::new(json), &mut |scan, key| {
        if key.is("choices") {
            chunk.choices = unless_null(scan, |scan| read_list(scan, read_chunk_choice))?;
        } else if key.is("usage") {
            chunk.usage = unless_null(scan, |scan| read_usage_of(scan).map(Some))?;
        } else {
            return Some(false);
        }
        Some(true)
    })?;
    Some(chunk)
}

fn read_chunk_choice(scan: &mut Scan<'_>) -> Option<ChunkChoice> {
    let mut choice = ChunkChoice::default();
    choice.extra = read_object(scan, &mut |scan, key| {
        if key.is("index") {
            choice.index = read_count(scan)? as u32;
        } else if key.is("delta") {
            choice.delta = unless_null(scan, |scan| read_object(scan, &mut |_, _| Some(false)))?;
        } else if key.is("finish_reason") {
            choice.finish_reason = unless_null(scan, |scan| read_text(scan).map(Some))?;
        } else {
            return Some(false);
        }
        Some(true)
    })?;
    Some(choice)
}

/// A whole completion, which is JSON; `None` if it has another shape.
pub(super) fn read_response(json: &str) -> Option<ChatResponse> {
    let mut response = ChatResponse::default();
    response.extra = read_object(&mut Scan::new(json.strip_prefix('\u{feff}').unwrap_or(json)), &mut |scan, key| {
        if key.is("choices") {
            response.choices = read_list(scan, read_choice)?;
        } else if key.is("usage") {
            response.usage = unless_null(scan, |scan| read_usage_of(scan).map(Some))?;
        } else {
            return Some(false);
        }
        Some(true)
    })?;
    Some(response)
}

fn read_choice(scan: &mut Scan<'_>) -> Option<Choice> {
    let mut choice = Choice::default();
    choice.extra = read_object(scan, &mut |scan, key| {
        if key.is("index") {
            choice.index = read_count(scan)? as u32;
        } else if key.is("message") {
            choice.message = read_message(scan)?;
        } else if key.is("finish_reason") {
            choice.finish_reason = unless_null(scan, |scan| read_text(scan).map(Some))?;
        } else {
            return Some(false);
        }
        Some(true)
    })?;
    Some(choice)
}

fn read_message(scan: &mut Scan<'_>) -> Option<Message> {
    let mut message = Message::default();
    message.extra = read_object(scan, &mut |scan, key| {
        if key.is("role") {
            message.role = read_text(scan)?;
        } else if key.is("content") {
            message.content = read(scan)?;
        } else {
            return Some(false);
        }
        Some(true)
    })?;
    Some(message)
}

fn read_usage_of(scan: &mut Scan<'_>) -> Option<Usage> {
    let mut usage = Usage::default();
    usage.extra = read_object(scan, &mut |scan, key| {
        if key.is("prompt_tokens") {
            usage.prompt_tokens = read_count(scan)?;
        } else if key.is("completion_tokens") {
            usage.completion_tokens = read_count(scan)?;
        } else if key.is("total_tokens") {
            usage.total_tokens = read_count(scan)?;
        } else {
            return Some(false);
        }
        Some(true)
    })?;
    Some(usage)
}

/// What an answer cost.
pub(super) fn read_usage(json: &str) -> Option<Usage> {
    read_usage_of(&mut Scan::new(json))
}

/// An object: `known` reads the fields it knows and says so; the others are kept as they are.
fn read_object<'a>(
    scan: &mut Scan<'a>,
    known: &mut dyn FnMut(&mut Scan<'a>, Text<'a>) -> Option<bool>,
) -> Option<Map<String, Value>> {
    let mut others = Map::new();
    scan.object(&mut |scan, key| {
        if !known(scan, key)? {
            others.insert(key.text(), read(scan)?);
        }
        Some(())
    })?;
    Some(others)
}

fn read_list<T>(scan: &mut Scan<'_>, item: fn(&mut Scan<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut items = Vec::new();
    scan.array(&mut |scan| {
        items.push(item(scan)?);
        Some(())
    })?;
    Some(items)
}

/// Gateways write null where OpenAI leaves a field out or empty.
fn unless_null<'a, T: Default>(scan: &mut Scan<'a>, read: impl FnOnce(&mut Scan<'a>) -> Option<T>) -> Option<T> {
    match scan.peek()? {
        b'n' => scan.skip().map(|()| T::default()),
        _ => read(scan),
    }
}

fn read_text(scan: &mut Scan<'_>) -> Option<String> {
    scan.peek()?;
    let mut text = String::new();
    scan.string()?.write_to(&mut text);
    Some(text)
}

/// Whatever number a gateway counts with; what is too large becomes the largest. Null counts as zero.
fn read_count(scan: &mut Scan<'_>) -> Option<u64> {
    unless_null(scan, |scan| scan.json()?.number().map(|count| count as u64))
}

fn read(scan: &mut Scan<'_>) -> Option<Value> {
    Some(match scan.peek()? {
        b'"' => Value::String(read_text(scan)?),
        b'{' => Value::Object(read_object(scan, &mut |_, _| Some(false))?),
        b'[' => Value::Array(read_list(scan, read)?),
        _ => match scan.json()?.raw() {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => read_number(text),
        },
    })
}

fn read_number(text: &str) -> Value {
    let natural = |digits: &str| {
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        digits.bytes().try_fold(0u64, |value, byte| value.checked_mul(10)?.checked_add(digit(byte)?))
    };
    let integer = match text.strip_prefix('-') {
        None => natural(text).map(Number::from),
        Some("0") => None,
        Some(digits) => natural(digits).and_then(|value| 0i64.checked_sub_unsigned(value)).map(Number::from),
    };
    // What is too large for any number is none in JavaScript's JSON either.
    integer.or_else(|| Number::from_f64(platform::number_of(text))).map_or(Value::Null, Value::Number)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value_of(json: &str) -> Option<Value> {
        read(&mut Scan::new(json))
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_written_as_serde_reads_it_and_read_as_serde_writes_it(value in values()) {
            let mut text = String::new();
            write(&value, &mut text);
            prop_assert_eq!(&value_of(&text), &Some(value.clone()));
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
            prop_assert_eq!(value_of(&value.to_string()), Some(value));
        }
    }

    #[test]
    fn a_request_is_what_serde_makes_of_it() {
        let tool = Message {
            role: "assistant".to_owned(),
            content: Value::Null,
            extra: json!({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]})
                .as_object()
                .cloned()
                .unwrap(),
        };
        let parts = Message { content: json!([{"type": "text", "text": "\u{1}\"é\\"}]), ..Message::user("") };
        let request = ChatRequest::new([Message::system("Be brief.\n"), tool, parts])
            .with("temperature", 0.1)
            .with("stop", json!([]))
            .with("stream_options", json!({"include_usage": true}))
            .with("metadata", json!({}))
            .with("", -3)
            .with("stream", false);
        let written: Value = serde_json::from_str(&write_request(&request, false)).unwrap();
        assert_eq!(written, serde_json::to_value(&request).unwrap());
        let streamed: Value = serde_json::from_str(&write_request(&request, true)).unwrap();
        assert_eq!(streamed, serde_json::to_value(request.with("stream", true)).unwrap());
        assert_eq!(write_request(&ChatRequest::new([]), false), r#"{"model":"default","messages":[]}"#);
        // Every name once.
        let named = ChatRequest::user("Hi!").with("model", "m").with("messages", json!([])).with("stream", true);
        assert_eq!(write_request(&named, false), r#"{"messages":[],"model":"m"}"#);
        assert_eq!(write_request(&named, true), r#"{"messages":[],"model":"m","stream":true}"#);
    }

    #[test]
    fn a_chunk_is_what_serde_makes_of_it() {
        let chunks = [
            "{}",
            r#" { "choices" : [ ] , "x" : [ 1 , -2 , 3.5e2 , true , null , { } ] } "#,
            r#"{"choices":null,"usage":null,"id":"a"}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"a\u00e9\ud83d\ude00"},"finish_reason":null,"logprobs":{"a":[]}}]}"#,
            r#"{"choices":[{"delta":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1e30,"total_tokens":2.0,"d":{}}}"#,
            r#"{"choices":[{}],"usage":{"prompt_tokens":null}}"#,
            r#"{"choices":{}}"#,
            r#"{"choices":[1]}"#,
            r#"{"choices":[{"delta":[]}]}"#,
            r#"{"choices":[{"index":"0"}]}"#,
            r#"{"choices":[{"finish_reason":1}]}"#,
            r#"{"usage":7}"#,
            r#"{"usage":{"total_tokens":"7"}}"#,
            "[]",
        ];
        for chunk in chunks {
            assert_eq!(read_chunk(chunk), serde_json::from_str(chunk).ok(), "{chunk}");
        }
        // The last of two counts, half a pair is replaced, and null is no index: serde would refuse all three.
        let lenient = read_chunk(r#"{"choices":[],"choices":[{"index":null,"delta":{"content":"a\ud83d"}}]}"#);
        assert_eq!(lenient.unwrap().text(), "a\u{fffd}");
    }

    #[test]
    fn an_answer_is_what_serde_makes_of_it() {
        let answers = [
            r#"{"choices":[]}"#,
            r#"{"id":"1","choices":[{"index":2,"message":{"role":"assistant","content":null,"tool_calls":[]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[{"message":{"content":[{"type":"text"}]}}],"usage":{"completion_tokens":3}}"#,
            r#"{"choices":[{"message":1}]}"#,
            r#"{"choices":[{"message":{"role":null}}]}"#,
            r#"{"choices":{}}"#,
            "7",
        ];
        for answer in answers {
            assert_eq!(read_response(answer), serde_json::from_str(answer).ok(), "{answer}");
        }
    }

    #[test]
    fn numbers_keep_their_last_bit() {
        for text in
            ["0", "-0", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "-1", "0.1", "5e-324"]
        {
            let number = value_of(text).unwrap();
            assert_eq!(number.as_f64(), text.parse().ok(), "{text}");
            assert_eq!(number.is_u64(), text.parse::<u64>().is_ok(), "{text}");
        }
        assert_eq!(value_of("1e400"), Some(Value::Null));
    }
}
