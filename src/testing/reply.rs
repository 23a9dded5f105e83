//! What the scripted servers answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Secret;
use crate::base64::encode_url;

/// What a scripted server does with a request.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) chunks: Vec<Chunk>,
    pub(super) head: Head,
}

#[derive(Clone, Debug)]
pub(super) enum Head {
    Comes,
    Fails(String),
    Hangs,
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// Exactly these bytes, in one piece.
    Bytes(Vec<u8>),
    /// Nothing for this time.
    Wait(Duration),
    /// Nothing ever again.
    Stall,
    /// The connection breaks.
    Cut,
}

impl Reply {
    /// A JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::bytes(status, "application/json", [body.into().into_bytes()])
    }

    /// A body in these pieces.
    pub fn bytes(status: u16, content_type: &str, chunks: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            chunks: chunks.into_iter().map(Chunk::Bytes).collect(),
            head: Head::Comes,
        }
    }

    /// Server-sent events in these pieces.
    pub fn stream(chunks: impl IntoIterator<Item = Chunk>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/event-stream; charset=utf-8".to_owned())],
            chunks: chunks.into_iter().collect(),
            head: Head::Comes,
        }
    }

    /// No answer: the connection fails, in these words.
    pub fn refused(text: &str) -> Self {
        Self { status: 0, headers: vec![], chunks: vec![], head: Head::Fails(text.to_owned()) }
    }

    /// No answer ever.
    pub fn hang() -> Self {
        Self { status: 0, headers: vec![], chunks: vec![], head: Head::Hangs }
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The body begins only after this time.
    #[must_use]
    pub fn delayed(mut self, time: Duration) -> Self {
        self.chunks.insert(0, Chunk::Wait(time));
        self
    }

    /// With a header of `client::transport::READ_HEADERS`.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A text as one piece.
pub fn text(text: impl Into<String>) -> Chunk {
    Chunk::Bytes(text.into().into_bytes())
}

/// The documented reply of a token function. `expiresAt` is nonsense on purpose: the server's clock must not matter.
pub fn bundle(token: &str, ttl: u64) -> Reply {
    Reply::json(200, json!({"token": token, "ttl": ttl, "sessionId": "session-1", "expiresAt": 1}).to_string())
}

/// One event of a stream that adds `text` to the answer.
pub fn delta(text: &str) -> String {
    event(&json!({"id": "c1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}))
}

/// The event of a stream that ends the answer: `stop`, `length`, `tool_calls` or `content_filter`.
pub fn finish(reason: &str) -> String {
    event(&json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

/// Any JSON as one event of a stream.
pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// A Supabase access token of this user and login. Clients never verify it, so its signature is a shape only.
pub fn access_token(user: &str, login: &str) -> Secret {
    jwt(&json!({"sub": user, "session_id": login, "role": "authenticated"})).into()
}

/// A token with these claims and a signature that verifies nowhere.
pub fn jwt(claims: &Value) -> String {
    let part = |json: &str| encode_url(json.as_bytes());
    format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"ES256","typ":"JWT"}"#), part(&claims.to_string()))
}
