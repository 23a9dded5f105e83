//! OpenAI-compatible chat completions: known fields typed, unknown ones kept.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::Client;
use super::gateway::{Call, Reply, SERVER};
use super::stream::{ChatStream, RawStream, reports_an_error};
use super::trace::Trace;
use crate::parse::{Json, quote};
use crate::wire::ErrorBody;
use crate::{Error, Reason};

const PATH: &str = "/v1/chat/completions";
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

    /// The content, if it is text.
    pub fn text(&self) -> Option<&str> {
        self.content.as_str()
    }
}

/// A chat completion in OpenAI's shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The first answer's text.
    pub fn text(&self) -> Option<&str> {
        self.choices.first()?.message.text()
    }
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
pub struct Usage {
    /// In the request.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// In the answer.
    #[serde(default)]
    pub completion_tokens: u64,
    /// Both.
    #[serde(default)]
    pub total_tokens: u64,
    /// Details of cached, reasoning or audio tokens.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One chunk of a streamed completion in OpenAI's shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The text this chunk adds to the first answer; empty if none.
    pub fn text(&self) -> &str {
        let first = self.choices.iter().find(|choice| choice.index == 0);
        first.and_then(|choice| choice.delta.get("content")?.as_str()).unwrap_or_default()
    }
}

/// A change to one answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// Gateways write null where OpenAI leaves a field out or empty.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Client {
    /// Asks one question and gives the answer's text.
    ///
    /// # Errors
    /// Besides every error of [`chat`](Self::chat): [`Reason::ContentBlocked`] if a filter left no text, and
    /// [`Reason::InvalidResponse`] if the reply has none for another cause. An answer cut by a token limit is
    /// returned as it is; use `chat` to see its `finish_reason`.
    pub async fn ask(&self, text: impl Into<String>) -> Result<String, Error> {
        let question = quote(&text.into());
        let body = format!(r#"{{"model":"{DEFAULT_MODEL}","messages":[{{"role":"user","content":{question}}}]}}"#);
        let reply = self.chat_json(body).await?;
        let answer = |path: &[&str]| Json::parse(&reply.json)?.find(path)?.text();
        if let Some(text) = answer(&["choices", "0", "message", "content"]) {
            return Ok(text);
        }
        let filtered = answer(&["choices", "0", "finish_reason"]).as_deref() == Some("content_filter");
        let reason = if filtered { Reason::ContentBlocked } else { Reason::InvalidResponse };
        Err(invalid(&reply, "has no text").with_reason(reason))
    }

    /// A whole chat completion.
    ///
    /// # Errors
    /// Session and token errors, the gateway's refusals, and [`Reason::InvalidResponse`] for a reply that is no completion.
    pub async fn chat(&self, request: &ChatRequest) -> Result<ChatResponse, Error> {
        let reply = self.chat_json(encode(request)?).await?;
        let mut response: ChatResponse = decode(&reply)?;
        response.trace = reply.trace;
        Ok(response)
    }

    /// A whole chat completion with types of your own, such as `async-openai`'s.
    pub async fn chat_as<Req: Serialize + ?Sized, Res: DeserializeOwned>(&self, request: &Req) -> Result<Res, Error> {
        decode(&self.chat_json(encode(request)?).await?)
    }

    /// A streamed chat completion. Dropping the stream cancels it, on the wire too.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), before the first chunk; later ones come out of the stream.
    pub async fn chat_stream(&self, request: &ChatRequest) -> Result<ChatStream, Error> {
        let request = ChatRequest { extra: with_stream(request.extra.clone()), ..request.clone() };
        Ok(ChatStream::new(self.chat_stream_json(encode(&request)?).await?))
    }

    /// A whole chat completion, JSON text in and out.
    pub async fn chat_json(&self, body: String) -> Result<Reply, Error> {
        let reply = self.call_json(call("application/json", body)).await?;
        let json = Json::parse(&reply.json);
        let find = |key: &str| json.as_ref().and_then(|json| json.find(&[key]));
        if find("choices").is_some_and(|choices| choices.is_array()) {
            return Ok(reply);
        }
        // Some gateways report an error with status 200, as they would in a stream.
        let reported = json.as_ref().filter(|json| reports_an_error(json)).map(ErrorBody::of);
        Err(match reported {
            Some(error) => error.into_reported(SERVER).with_status(reply.status).with_trace_id(reply.trace.trace_id),
            None => invalid(&reply, "is not a chat completion: it has no choices"),
        })
    }

    /// A streamed chat completion, JSON text in and out. The body must ask for `"stream": true`.
    pub async fn chat_stream_json(&self, body: String) -> Result<RawStream, Error> {
        RawStream::open(self, call("text/event-stream", body)).await
    }
}

fn call(accept: &'static str, body: String) -> Call {
    Call { method: "POST", path: PATH.to_owned(), accept, body: Some(body) }
}

fn with_stream(mut extra: Map<String, Value>) -> Map<String, Value> {
    extra.insert("stream".to_owned(), Value::Bool(true));
    extra
}

fn encode(request: &(impl Serialize + ?Sized)) -> Result<String, Error> {
    serde_json::to_string(request).map_err(|error| {
        Error::new(Reason::InvalidRequest, format!("the request is not representable as JSON: {error}"))
    })
}

fn decode<T: DeserializeOwned>(reply: &Reply) -> Result<T, Error> {
    serde_json::from_str(&reply.json).map_err(|error| invalid(reply, &format!("is not a chat completion: {error}")))
}

fn invalid(reply: &Reply, what: &str) -> Error {
    Error::new(Reason::InvalidResponse, format!("{SERVER}'s reply {what}"))
        .with_status(reply.status)
        .with_trace_id(reply.trace.trace_id.clone())
}
