//! OpenAI-compatible chat completions: known fields typed, unknown ones kept.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::engine::{ToolCall, Trace};

/// The gateway's name for "the model this project is set to".
const DEFAULT_MODEL: &str = "default";

/// A chat completion request in OpenAI's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The model; `default` is the one the project is set to.
    pub model: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Every other field of OpenAI's API: `temperature`, `tools`, `response_format`, …
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChatRequest {
    /// These messages, to the project's model.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self { model: DEFAULT_MODEL.to_owned(), messages: messages.into(), extra: Map::new() }
    }

    /// One question of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new([Message::user(text)])
    }

    /// With another field of OpenAI's API.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(field.into(), value.into());
        self
    }
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    #[serde(default)]
    pub role: String,
    /// Text, a list of content parts, or null beside tool calls.
    #[serde(default)]
    pub content: Value,
    /// `tool_calls`, `tool_call_id`, `name`, `refusal`, …
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A message of this role.
    pub fn new(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), content: Value::String(text.into()), extra: Map::new() }
    }

    /// What the user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new("user", text)
    }

    /// What the model said.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new("assistant", text)
    }

    /// How the model should behave.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new("system", text)
    }

    /// What came of a tool that the model called, by the [call's id](ToolCall::id).
    pub fn tool(tool_call_id: impl Into<String>, text: impl Into<String>) -> Self {
        let mut message = Self::new("tool", text);
        message.extra.insert("tool_call_id".to_owned(), Value::String(tool_call_id.into()));
        message
    }

    /// What the model said, with the tools it called. Each call needs its answer, a [`tool`](Self::tool) message behind it.
    pub fn assistant_with<'a>(text: Option<&str>, calls: impl IntoIterator<Item = &'a ToolCall>) -> Self {
        let field = |name: &str, value: &str| (name.to_owned(), Value::String(value.to_owned()));
        let call = |call: &ToolCall| {
            let function = Map::from_iter([field("name", &call.name), field("arguments", &call.arguments)]);
            let function = ("function".to_owned(), Value::Object(function));
            Value::Object(Map::from_iter([field("id", &call.id), field("type", "function"), function]))
        };
        let calls = Value::Array(calls.into_iter().map(call).collect());
        let content = text.map_or(Value::Null, Value::from);
        Self { role: "assistant".to_owned(), content, extra: Map::from_iter([("tool_calls".to_owned(), calls)]) }
    }

    /// The tools that the model calls.
    pub fn tool_calls(&self) -> Vec<ToolCall> {
        let calls = self.extra.get("tool_calls").and_then(Value::as_array);
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let call = |call: &Value| {
            let function = call.get("function");
            let part = |name: &str| function.and_then(|function| function.get(name));
            // A text of JSON, by the book; some servers send the object itself.
            let arguments = match part("arguments") {
                Some(object @ Value::Object(_)) => object.to_string(),
                text_of_json => text(text_of_json),
            };
            ToolCall { id: text(call.get("id")), name: text(part("name")), arguments }
        };
        calls.into_iter().flatten().map(call).collect()
    }

    /// The content, if it is text: a string, or a list of parts with one text among them. If the model would not answer, its
    /// `refusal`.
    pub fn text(&self) -> Option<&str> {
        if let Some(refusal) = self.extra.get("refusal").and_then(Value::as_str).filter(|refusal| !refusal.is_empty()) {
            return Some(refusal);
        }
        let Some(parts) = self.content.as_array() else { return self.content.as_str() };
        let mut texts = parts.iter().filter_map(text_of);
        texts.next().filter(|_| texts.next().is_none())
    }
}

/// A chat completion in OpenAI's shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChatResponse {
    /// The answers; one, unless `n` asked for more.
    pub choices: Vec<Choice>,
    /// What it cost in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// `id`, `model`, `created`, …
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// What the call did and how long it took.
    #[serde(skip)]
    pub trace: Trace,
}

impl ChatResponse {
    /// The first answer.
    pub fn message(&self) -> Option<&Message> {
        self.choices.first().map(|choice| &choice.message)
    }

    /// The first answer's text.
    pub fn text(&self) -> Option<&str> {
        self.message()?.text()
    }

    /// The tools that the model calls in the first answer. To go on, send its [`message`](Self::message) and a
    /// [`Message::tool`] for each of them.
    pub fn tool_calls(&self) -> Vec<ToolCall> {
        self.message().map(Message::tool_calls).unwrap_or_default()
    }
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// Its place in the list.
    #[serde(default)]
    pub index: u32,
    /// The answer itself.
    #[serde(default)]
    pub message: Message,
    /// `stop`, `length`, `tool_calls`, `content_filter`; some servers have words of their own.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// `logprobs`, …
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Tokens used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Usage {
    /// In the request.
    #[serde(default, deserialize_with = "count")]
    pub prompt_tokens: u64,
    /// In the answer.
    #[serde(default, deserialize_with = "count")]
    pub completion_tokens: u64,
    /// Both.
    #[serde(default, deserialize_with = "count")]
    pub total_tokens: u64,
    /// Details of cached, reasoning or audio tokens.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One chunk of a streamed completion in OpenAI's shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChatChunk {
    /// Changes to the answers; empty in the chunk that carries only usage.
    #[serde(default, deserialize_with = "null_as_default")]
    pub choices: Vec<ChunkChoice>,
    /// Present in the last chunk if `stream_options.include_usage` was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// `id`, `model`, `created`, …
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChatChunk {
    /// The text this chunk adds to the first answer, or to its `refusal`; empty if none. Of several parts the first one's;
    /// [`ChatStream::text`](super::ChatStream::text) has all.
    pub fn text(&self) -> &str {
        let mut first = None;
        self.each_text(&mut |text| first = first.or(Some(text)));
        first.unwrap_or_default()
    }

    /// Adds all of its text.
    pub(super) fn write_to(&self, text: &mut String) {
        self.each_text(&mut |part| text.push_str(part));
    }

    fn each_text<'a>(&'a self, take: &mut dyn FnMut(&'a str)) {
        let Some(choice) = self.choices.iter().find(|choice| choice.index == 0) else { return };
        let refusal = choice.delta.get("refusal").and_then(Value::as_str).unwrap_or_default();
        match choice.delta.get("content") {
            _ if !refusal.is_empty() => take(refusal),
            Some(Value::String(text)) => take(text),
            Some(Value::Array(parts)) => parts.iter().filter_map(text_of).for_each(take),
            _ => {}
        }
    }
}

/// The text of a part of a content. Parts that are thoughts or pictures have other fields.
fn text_of(part: &Value) -> Option<&str> {
    part.get("text")?.as_str()
}

/// A change to one answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChunkChoice {
    /// Which answer.
    #[serde(default)]
    pub index: u32,
    /// `role`, `content`, `tool_calls`, …
    #[serde(default, deserialize_with = "null_as_default")]
    pub delta: Map<String, Value>,
    /// Set in the chunk that ends this answer.
    #[serde(default)]
    pub finish_reason: Option<String>,
    /// `logprobs`, …
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whatever number a gateway counts with; what is too large becomes the largest.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or_default() as u64)
}

/// Gateways write null where OpenAI leaves a field out or empty.
pub(super) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
