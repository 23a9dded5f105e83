//! A chat request, checked as far as the gateway needs to understand it.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::error::GatewayError;
use super::prompt::{self, Bounds};
use crate::domain::content::text_of;
use crate::domain::limits::MOST_TOKENS;

/// The names under which OpenAI-compatible servers take the answer's length.
const LIMITS: [&str; 6] =
    ["max_completion_tokens", "max_tokens", "max_output_tokens", "max_new_tokens", "n_predict", "num_predict"];
/// How many answers are given, and among how many they are the best, with the servers that know it.
const CHOICES: [&str; 2] = ["n", "best_of"];
/// As many answers as OpenAI gives.
const MOST_CHOICES: i64 = 128;

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
        for name in CHOICES {
            let count = body.get(name).filter(|count| !count.is_null());
            if count.is_some_and(|count| count.as_i64().is_none_or(|count| !(1..=MOST_CHOICES).contains(&count))) {
                return Err(GatewayError::invalid(format!("{name} must be a whole number from 1 to {MOST_CHOICES}")));
            }
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

    /// The most tokens each answer may have, if the caller set a limit. The largest counts: no two upstreams heed the same.
    pub(crate) fn max_tokens(&self) -> Option<i64> {
        LIMITS.iter().filter_map(|name| limit(self.body.get(*name)?)).max()
    }

    /// How many answers are asked for.
    pub(crate) fn choices(&self) -> i64 {
        self.body.get("n").and_then(Value::as_i64).unwrap_or(1)
    }

    /// How many answers a model may write for it, those included that it throws away.
    pub(crate) fn written(&self) -> i64 {
        CHOICES.iter().filter_map(|name| self.body.get(*name)?.as_i64()).max().unwrap_or(1)
    }

    /// Bounds the length of each answer, whatever limits the caller set.
    pub(crate) fn limit_answer(&mut self, tokens: i64) {
        let mut is_set = false;
        for name in LIMITS {
            if let Some(set) = self.body.get_mut(name).filter(|limit| !limit.is_null()) {
                *set = json!(limit(set).unwrap_or(tokens).min(tokens));
                is_set = true;
            }
        }
        if !is_set {
            self.body.insert("max_tokens".to_owned(), json!(tokens));
        }
    }

    /// About how many tokens the prompt has.
    pub(super) fn prompt_expected(&self) -> i64 {
        prompt::expected(&self.body)
    }

    /// How many tokens a model within these bounds may count for it.
    pub(super) fn prompt_at_most(&self, bounds: Bounds) -> i64 {
        prompt::at_most(&self.body, self.stream, bounds)
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

/// A limit of an answer's tokens, should this be one. Some clients write whole numbers with a point.
fn limit(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
    // What is too large for the type becomes its largest value.
    Some((number as i64).min(MOST_TOKENS))
}
