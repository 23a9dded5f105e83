//! A chat request, checked as far as the gateway needs to understand it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error::GatewayError;
use crate::domain::content::text_of;

/// An OpenAI-compatible body: kept whole, with what the gateway has to know taken out of it.
#[derive(Debug)]
pub(crate) struct ChatRequest {
    pub(crate) body: Map<String, Value>,
    pub(crate) stream: bool,
    /// The caller asked for the usage chunk itself.
    pub(crate) wants_usage: bool,
}

impl ChatRequest {
    pub(crate) fn parse(body: &Bytes) -> Result<Self, GatewayError> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|why| GatewayError::invalid(format!("The body is not JSON: {why}")))?;
        let Value::Object(body) = body else { return Err(GatewayError::invalid("The body must be a JSON object")) };
        let messages = body.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
        let messages =
            messages.ok_or_else(|| GatewayError::invalid("messages must be a list with at least one message"))?;
        if !messages.iter().all(|message| message.get("role").is_some_and(Value::is_string)) {
            return Err(GatewayError::invalid("every message must be an object with a role"));
        }
        if body.get("model").is_some_and(|model| !model.is_string() && !model.is_null()) {
            return Err(GatewayError::invalid("model must be a text"));
        }
        let stream = match body.get("stream") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(stream)) => *stream,
            Some(_) => return Err(GatewayError::invalid("stream must be true or false")),
        };
        let options = body.get("stream_options");
        let wants_usage = options.and_then(|options| options.get("include_usage")).and_then(Value::as_bool);
        Ok(Self { stream, wants_usage: wants_usage.unwrap_or_default(), body })
    }

    /// The model by name; `None` for the project's own.
    pub(crate) fn model(&self) -> Option<&str> {
        self.body.get("model").and_then(Value::as_str).filter(|model| !matches!(*model, "" | "default"))
    }

    /// The texts of all messages, oldest first.
    pub(crate) fn texts(&self) -> impl DoubleEndedIterator<Item = (&str, String)> {
        let messages = self.body.get("messages").and_then(Value::as_array).into_iter().flatten();
        messages.map(|message| {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            (role, message.get("content").map(text_of).unwrap_or_default())
        })
    }

    /// The most tokens the answer may have, if the caller set a limit.
    pub(crate) fn max_tokens(&self) -> Option<u64> {
        let limit = |name| self.body.get(name).and_then(Value::as_u64);
        limit("max_completion_tokens").or_else(|| limit("max_tokens"))
    }

    /// How many answers are asked for.
    pub(crate) fn choices(&self) -> i64 {
        self.body.get("n").and_then(Value::as_i64).filter(|n| *n > 0).unwrap_or(1)
    }

    /// Bounds the length of an answer whose caller set no limit.
    pub(crate) fn limit_answer(&mut self, tokens: i64) {
        self.body.insert("max_tokens".to_owned(), json!(tokens));
    }

    pub(crate) fn take_messages(&mut self) -> Vec<Value> {
        match self.body.remove("messages") {
            Some(Value::Array(messages)) => messages,
            _ => Vec::new(),
        }
    }

    pub(crate) fn set_messages(&mut self, messages: Vec<Value>) {
        self.body.insert("messages".to_owned(), Value::Array(messages));
    }

    /// The body for an upstream: `model` put in place, and usage asked for in streams.
    pub(crate) fn for_upstream(&self, model: Option<&str>) -> Value {
        let mut body = self.body.clone();
        if let Some(model) = model {
            body.insert("model".to_owned(), json!(model));
        }
        if self.stream {
            let options = body.entry("stream_options").or_insert_with(|| json!({}));
            match options.as_object_mut() {
                Some(options) => drop(options.insert("include_usage".to_owned(), json!(true))),
                None => *options = json!({ "include_usage": true }),
            }
        }
        Value::Object(body)
    }
}
