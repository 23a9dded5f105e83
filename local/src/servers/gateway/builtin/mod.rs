//! Answers without a language model: always the same answer to the same question, streamed word by word.

mod schema;
mod words;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::schema::Room;
use super::reply::Reply;
use super::request::ChatRequest;

/// The name of the model that is none.
pub(crate) const MODEL: &str = "behest-local";

/// As many tools as OpenAI takes, with names as long. Others are not called.
const MOST_TOOLS: usize = 128;
const LONGEST_NAME: usize = 64;
/// OpenAI takes four. Others end nothing.
const MOST_STOPS: usize = 16;

/// The built-in responder.
#[derive(Debug)]
pub(crate) struct Builtin {
    /// The pause before each word.
    pub(crate) pace: Duration,
}

impl Builtin {
    pub(crate) fn chat(&self, request: &ChatRequest) -> Reply {
        let answer = Completion::to(request);
        if !request.stream {
            return Reply::Whole(answer.whole().to_string().into());
        }
        let pace = self.pace;
        let events = stream::iter(answer.events()).then(move |event| async move {
            tokio::time::sleep(pace).await;
            Ok(event)
        });
        Reply::Events(events.boxed())
    }
}

struct Completion {
    id: String,
    created: u64,
    /// What is said, each word with the space before the next.
    words: Vec<String>,
    calls: Vec<Call>,
    finish_reason: &'static str,
    prompt_tokens: usize,
    /// So many answers, all the same.
    choices: usize,
}

struct Call {
    id: String,
    name: String,
    /// In JSON, piece by piece.
    arguments: Vec<String>,
}

impl Completion {
    fn to(request: &ChatRequest) -> Self {
        let texts: Vec<_> = request.texts().collect();
        let question = texts.iter().rev().find(|(role, _)| *role == "user").map(|(_, text)| text.trim());
        let question = question.unwrap_or_default();
        let last = texts.last().map_or(("", ""), |(role, text)| (*role, text.as_str()));
        let mut calls = calls(&request.body, question, last.0);
        let mut words = match &calls[..] {
            [] => said(&request.body, question, last, texts.len()),
            _ => Vec::new(),
        };
        let mut left = request.max_tokens().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let mut finish_reason = if calls.is_empty() { "stop" } else { "tool_calls" };
        for pieces in std::iter::once(&mut words).chain(calls.iter_mut().map(|call| &mut call.arguments)) {
            if pieces.len() > left {
                finish_reason = "length";
                pieces.truncate(left);
            }
            left -= pieces.len();
        }
        Self {
            id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
            created: jiff::Timestamp::now().as_second().try_into().unwrap_or_default(),
            words,
            calls,
            finish_reason,
            prompt_tokens: texts.iter().map(|(_, text)| text.split_whitespace().count()).sum::<usize>()
                + unspoken(request),
            choices: usize::try_from(request.choices()).unwrap_or(1),
        }
    }

    /// A word is a token here, and so is a piece of a call.
    fn usage(&self) -> Value {
        let calls: usize = self.calls.iter().map(|call| call.arguments.len()).sum();
        let completion_tokens = (self.words.len() + calls) * self.choices;
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        })
    }

    fn whole(&self) -> Value {
        let mut message = json!({ "role": "assistant", "content": self.words.concat() });
        if !self.calls.is_empty() {
            message["content"] = Value::Null;
            message["tool_calls"] = self.calls.iter().map(|call| call.json(&call.arguments.concat())).collect();
        }
        let choice = |index| json!({ "index": index, "message": message, "finish_reason": self.finish_reason });
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": MODEL,
            "choices": (0..self.choices).map(choice).collect::<Vec<_>>(),
            "usage": self.usage(),
        })
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>) -> Bytes {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": MODEL,
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n").into()
    }

    /// One after the other, as they are asked for: there may be very many.
    fn events(self) -> impl Iterator<Item = Bytes> + Send {
        let mut deltas = vec![(json!({ "role": "assistant", "content": "" }), None)];
        deltas.extend(self.words.iter().map(|word| (json!({ "content": word }), None)));
        for (index, call) in self.calls.iter().enumerate() {
            let mut begun = call.json("");
            begun["index"] = json!(index);
            deltas.push((json!({ "tool_calls": [begun] }), None));
            let piece = |text| json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] });
            deltas.extend(call.arguments.iter().map(|text| (piece(text), None)));
        }
        deltas.push((json!({}), Some(self.finish_reason)));
        let end = [self.chunk(&json!([]), Some(self.usage())), Bytes::from_static(b"data: [DONE]\n\n")];
        let chunks = (0..deltas.len() * self.choices).filter_map(move |at| {
            let (delta, finish_reason) = deltas.get(at / self.choices)?;
            let choice = json!([{ "index": at % self.choices, "delta": delta, "finish_reason": finish_reason }]);
            Some(self.chunk(&choice, None))
        });
        chunks.chain(end)
    }
}

impl Call {
    fn json(&self, arguments: &str) -> Value {
        json!({ "id": self.id, "type": "function", "function": { "name": self.name, "arguments": arguments } })
    }
}

/// The tools to call: the one that is named, one at least if one is required, else those that the user speaks of.
fn calls(body: &Map<String, Value>, question: &str, last_role: &str) -> Vec<Call> {
    let functions = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    let name = |function: &Value| function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let functions = functions.filter_map(|tool| tool.get("function"));
    let mut choice = body.get("tool_choice").unwrap_or(&Value::Null);
    // Some of the tools, and how to choose among them.
    let allowed = choice.pointer("/allowed_tools/tools").and_then(Value::as_array);
    let is_allowed = |function: &Value| {
        let named = |tool: &Value| tool.pointer("/function/name").and_then(Value::as_str) == Some(&name(function));
        allowed.is_none_or(|tools| tools.iter().any(named))
    };
    choice = choice.pointer("/allowed_tools/mode").unwrap_or(choice);
    let is_known = |function: &&Value| name(function).len() <= LONGEST_NAME && is_allowed(function);
    let functions: Vec<_> = functions.filter(is_known).take(MOST_TOOLS).collect();
    let spoken_of =
        || functions.iter().copied().filter(|function| last_role == "user" && question.contains(&name(function)));
    let mut called: Vec<&Value> = match (choice.as_str(), choice.pointer("/function/name").and_then(Value::as_str)) {
        (_, Some(named)) => functions.iter().copied().filter(|function| name(function) == named).collect(),
        (Some("none"), _) => Vec::new(),
        _ => spoken_of().collect(),
    };
    if called.is_empty() && choice == "required" {
        called.extend(functions.first());
    }
    if body.get("parallel_tool_calls") == Some(&Value::Bool(false)) {
        called.truncate(1);
    }
    let mut room = Room::default();
    let call = |function: &Value| {
        let none = json!({ "type": "object" });
        let arguments = schema::fill(function.get("parameters").unwrap_or(&none), &mut room).to_string();
        let arguments = arguments.split_inclusive(',').map(str::to_owned).collect();
        Call { id: format!("call_{}", Uuid::new_v4().simple()), name: name(function), arguments }
    };
    called.into_iter().map(call).collect()
}

/// The answer's words.
fn said(body: &Map<String, Value>, question: &str, last: (&str, &str), messages: usize) -> Vec<String> {
    let format = body.get("response_format").unwrap_or(&Value::Null);
    let (mut text, between) = match format.get("type").and_then(Value::as_str) {
        Some("json_object") => {
            (json!({ "question": words::shortened(question), "messages": messages }).to_string(), ',')
        }
        Some("json_schema") => {
            let schema = format.pointer("/json_schema/schema").unwrap_or(&Value::Null);
            (schema::fill(schema, &mut Room::default()).to_string(), ',')
        }
        _ if last.0 == "tool" => (words::about_tool(last.1), ' '),
        _ if question.to_lowercase().contains("markdown") => (words::MARKDOWN.to_owned(), ' '),
        _ => (words::answer(question, messages), ' '),
    };
    let stops = match body.get("stop") {
        Some(Value::String(stop)) => vec![stop.as_str()],
        Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).take(MOST_STOPS).collect(),
        _ => Vec::new(),
    };
    if let Some(end) = stops.into_iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min() {
        text.truncate(end);
    }
    text.split_inclusive(between).map(str::to_owned).collect()
}

/// Tokens of what is no text of a message: tools, schemas, calls, images.
fn unspoken(request: &ChatRequest) -> usize {
    let texts: i64 = request.texts().map(|(_, text)| i64::try_from(text.len()).unwrap_or(i64::MAX)).sum();
    usize::try_from(request.prompt_expected() - (texts + 3) / 4).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &Value) -> Completion {
        Completion::to(&ChatRequest::parse(&body.to_string().into()).unwrap())
    }

    #[test]
    fn the_answer_is_about_the_last_question() {
        let body = json!({ "messages": [
            { "role": "user", "content": "old" },
            { "role": "user", "content": [{ "type": "text", "text": "Where is Rome?" }] },
        ] });
        let text = answer(&body).words.concat();
        assert!(
            text.starts_with("You wrote: “Where is Rome?”. That is 3 words in a conversation of 2 messages."),
            "{text}"
        );
        assert_eq!(text, answer(&body).words.concat());
    }

    #[test]
    fn a_limit_shortens_the_answer_and_says_so() {
        for limit in [json!(3), json!(3.0)] {
            let answer = answer(&json!({ "messages": [{ "role": "user", "content": "Hi" }], "max_tokens": limit }));
            assert_eq!(answer.whole()["choices"][0]["finish_reason"], "length", "{limit}");
            assert_eq!(answer.whole()["usage"]["completion_tokens"], 3);
            assert_eq!(answer.events().count(), 1 + 3 + 3);
        }
    }

    #[test]
    fn a_large_request_has_no_larger_answer() {
        let many = json!({ "type": "array", "items": { "$ref": "#" }, "minItems": 100 });
        let tool = |name: String| json!({ "function": { "name": name, "parameters": many } });
        let tools: Vec<Value> = (0..1000).map(|n| tool(n.to_string())).chain([tool("long".repeat(100_000))]).collect();
        let ask = |more: Value| {
            let question = ",".repeat(100_000) + &(0..1000).map(|n| format!("{n},")).collect::<String>();
            let mut body = json!({ "messages": [{ "role": "user", "content": question }], "n": 128 });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            answer(&body)
        };
        let object = ask(json!({ "response_format": { "type": "json_object" } }));
        assert!(object.words.len() < 400, "{}", object.words.len());
        let called = ask(json!({ "tools": tools }));
        let size: usize = called.calls.iter().map(|call| call.name.len() + call.arguments.concat().len()).sum();
        assert!(called.calls.len() == 128 && size < 256 * 1024, "{} calls of {size} bytes", called.calls.len());
        let stops = ask(json!({ "stop": ["", "never", ".", "x"] }));
        assert!(stops.words.concat().ends_with('”'), "{:?}", stops.words);
        let late = ask(json!({ "stop": vec!["never"; MOST_STOPS].into_iter().chain(["."]).collect::<Vec<_>>() }));
        assert!(late.words.concat().ends_with('.'), "{:?}", late.words);
        // The first of very many events costs no more than one.
        assert!(called.events().next().is_some());
    }
}
