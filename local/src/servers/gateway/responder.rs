//! Who answers: an OpenAI-compatible server, or the responder built in here.

use anyhow::Result;
use bytes::Bytes;
use serde_json::{Value, json};

use super::builtin::{self, Builtin};
use super::error::GatewayError;
use super::http_upstream::HttpUpstream;
use super::prompt::Bounds;
use super::reply::Reply;
use super::request::ChatRequest;
use crate::config::{Config, Upstream};

/// See the module.
#[derive(Debug)]
pub(crate) enum Responder {
    Builtin(Builtin),
    Http(HttpUpstream, Bounds),
}

impl Responder {
    /// The server of the settings, or the responder that speaks at their pace.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(match &config.upstream {
            Some(Upstream { url, key, model, silence }) => Self::Http(
                HttpUpstream::new(url, key.clone(), model.clone(), *silence)?,
                Bounds::of_any_model(config.image_tokens.into()),
            ),
            None => Self::Builtin(Builtin { pace: config.pace }),
        })
    }

    /// The model a request will be answered by, as far as that is known before the answer.
    pub(crate) fn model(&self, request: &ChatRequest) -> String {
        match self {
            Self::Builtin(_) => builtin::MODEL.to_owned(),
            Self::Http(http, _) => http.model(request).unwrap_or("default").to_owned(),
        }
    }

    /// Refuses a model that the built-in responder is not; an upstream knows its own.
    pub(crate) fn knows(&self, request: &ChatRequest) -> Result<(), GatewayError> {
        match (self, request.model()) {
            (Self::Builtin(_), Some(other)) if other != builtin::MODEL => Err(GatewayError::invalid(format!(
                "The model {other:?} is not configured: this project has {:?}, or \"default\"",
                builtin::MODEL
            ))),
            _ => Ok(()),
        }
    }

    /// The most tokens that its prompt may have.
    pub(super) fn prompt_at_most(&self, request: &ChatRequest) -> i64 {
        match self {
            Self::Builtin(_) => request.prompt_at_most(Bounds::BUILTIN),
            Self::Http(_, bounds) => request.prompt_at_most(*bounds),
        }
    }

    /// Sends a request on. Dropping the future or the reply's stream cancels it.
    pub(crate) async fn chat(&self, request: &ChatRequest) -> Result<Reply, GatewayError> {
        match self {
            Self::Builtin(builtin) => Ok(builtin.chat(request)),
            Self::Http(http, _) => http.chat(request).await,
        }
    }

    /// An error among an answer's events, as it may be passed on.
    pub(super) fn without_key(&self, said: Bytes) -> Bytes {
        match self {
            Self::Builtin(_) => said,
            Self::Http(http, _) => http.without_key(said),
        }
    }

    /// The list of models in OpenAI's shape.
    pub(crate) async fn models(&self) -> Result<Value, GatewayError> {
        let one =
            |id: &str| json!({ "object": "list", "data": [{ "id": id, "object": "model", "owned_by": "project" }] });
        match self {
            Self::Builtin(_) => Ok(one(builtin::MODEL)),
            Self::Http(http, _) => match &http.model {
                Some(model) => Ok(one(model)),
                None => http.models().await,
            },
        }
    }
}
