//! Any OpenAI-compatible server, its stream passed on as it comes.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use behest_client::Secret;
use behest_client::wire::ErrorBody;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::{Client, Response, Url};
use serde_json::Value;

use super::error::GatewayError;
use super::reply::{Broken, Reply};
use super::request::ChatRequest;
use crate::domain::loopback::is_loopback;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A whole answer that is larger than this is no chat completion.
const LARGEST_REPLY: usize = 32 * 1024 * 1024;
const LARGEST_ERROR: usize = 64 * 1024;

/// An OpenAI-compatible server.
#[derive(Debug)]
pub(crate) struct HttpUpstream {
    client: Client,
    /// Ends in the API's root, such as `/v1`.
    base: String,
    key: Option<Secret>,
    /// Stands in for the project's own model.
    pub(super) model: Option<String>,
}

impl HttpUpstream {
    /// `silence` is the longest wait for the first byte, and between bytes.
    pub(crate) fn new(url: &str, key: Option<Secret>, model: Option<String>, silence: Duration) -> Result<Self> {
        let url = Url::parse(url).with_context(|| format!("--upstream: {url:?} is not a URL"))?;
        if !url.has_host() || !matches!(url.scheme(), "http" | "https") {
            bail!("--upstream: {url} must begin with http:// or https://");
        }
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(silence)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        if key.as_ref().is_some_and(|key| bearer(key).is_none()) {
            bail!("--upstream-key-env: the key has characters that no header can carry");
        }
        Ok(Self { client: builder.build().context("the HTTP client")?, base: api_root(&url), key, model })
    }

    pub(super) fn model<'a>(&'a self, request: &'a ChatRequest) -> Option<&'a str> {
        request.model().or(self.model.as_deref())
    }

    pub(super) async fn chat(&self, request: &ChatRequest) -> Result<Reply, GatewayError> {
        let accept = if request.stream { "text/event-stream" } else { "application/json" };
        let body = request.for_upstream(self.model(request)).to_string();
        let call = self.client.post(format!("{}/chat/completions", self.base));
        let call = call.header(header::CONTENT_TYPE, "application/json").header(header::ACCEPT, accept).body(body);
        let response = self.send(call).await?;
        let is_stream =
            response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(
                |media_type| media_type.trim_start().to_ascii_lowercase().starts_with("text/event-stream"),
            );
        if !is_stream {
            return read(response, LARGEST_REPLY).await.map(Reply::Whole);
        }
        let events = response.bytes_stream().map(|next| next.map_err(|why| Broken(why.without_url().to_string())));
        Ok(Reply::Events(events.boxed()))
    }

    pub(super) async fn models(&self) -> Result<Value, GatewayError> {
        let response = self.send(self.client.get(format!("{}/models", self.base))).await?;
        let body = read(response, LARGEST_REPLY).await?;
        serde_json::from_slice(&body).map_err(|_| GatewayError::upstream("The upstream's list of models is not JSON"))
    }

    async fn send(&self, mut call: reqwest::RequestBuilder) -> Result<Response, GatewayError> {
        if let Some(value) = self.key.as_ref().and_then(bearer) {
            call = call.header(header::AUTHORIZATION, value);
        }
        let response = call.send().await.map_err(no_answer)?;
        let status = response.status();
        let is_plain = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"identity");
        if response.headers().get(header::CONTENT_ENCODING).is_some_and(|encoding| !is_plain(encoding)) {
            return Err(GatewayError::upstream("The upstream's answer is compressed, which nobody asked for"));
        }
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        // The status says enough if the body cannot be read.
        let body = read(response, LARGEST_ERROR).await.unwrap_or_default();
        Err(refusal(status, &headers, &self.without_key(body)))
    }

    /// What the upstream says, should it repeat the key that it was sent.
    pub(super) fn without_key(&self, said: Bytes) -> Bytes {
        match (&self.key, std::str::from_utf8(&said)) {
            (Some(key), Ok(text)) if text.contains(key.expose().as_str()) => {
                text.replace(key.expose().as_str(), "…").into()
            }
            _ => said,
        }
    }
}

fn bearer(key: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The URL up to `/v1`, which is added where the URL names only a host.
fn api_root(url: &Url) -> String {
    let text = url.as_str().trim_end_matches('/');
    if url.path().trim_matches('/').is_empty() { format!("{text}/v1") } else { text.to_owned() }
}

async fn read(mut response: Response, limit: usize) -> Result<Bytes, GatewayError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if body.len() + chunk.len() > limit {
            return Err(GatewayError::upstream("The upstream's answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn no_answer(why: reqwest::Error) -> GatewayError {
    let (late, is_away) = (why.is_timeout(), why.is_connect());
    // Without the URL, which may hold a key.
    tracing::warn!(error = format!("{:#}", anyhow::Error::new(why.without_url())), "the upstream did not answer");
    if late {
        GatewayError::timeout("The upstream did not answer in time")
    } else if is_away {
        GatewayError::upstream("The upstream could not be reached")
    } else {
        GatewayError::upstream("The upstream broke off, or what it sent is not HTTP")
    }
}

/// What an upstream's refusal means to the gateway's caller.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> GatewayError {
    let said = ErrorBody::parse(body).message;
    tracing::warn!(status = status.as_u16(), message = said, "the upstream refused a request");
    let told = |what: &str| match &said {
        Some(said) => format!("{what}: {said}"),
        None => what.to_owned(),
    };
    match status.as_u16() {
        // The gateway's own key is at fault, and what the upstream says about it is not the caller's business.
        401..=403 => GatewayError::upstream("The upstream refuses the gateway's key"),
        404 => GatewayError::invalid(told("The upstream does not know this model")),
        408 | 504 => GatewayError::timeout("The upstream took too long"),
        429 => GatewayError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", told("The upstream is busy"))
            .with_retry_after(headers.get(header::RETRY_AFTER).cloned()),
        400..=499 => GatewayError::invalid(told("The upstream refuses the request")),
        _ => GatewayError::upstream(format!("The upstream answered {}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_with_and_without_v1() {
        for (given, root) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
            ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
            ("https://example.com/v1beta/openai/", "https://example.com/v1beta/openai"),
        ] {
            assert_eq!(api_root(&Url::parse(given).unwrap()), root);
        }
    }

    #[test]
    fn a_bad_url_or_key_is_refused_at_the_start() {
        let new = |url: &str, key: Option<&str>| HttpUpstream::new(url, key.map(Secret::from), None, CONNECT_LIMIT);
        assert!(new("http://127.0.0.1:1", Some("k")).is_ok());
        assert!(new("127.0.0.1:1", None).is_err());
        assert!(new("file:///etc/passwd", None).is_err());
        assert!(new("http://127.0.0.1:1", Some("a\nb")).is_err());
    }
}
