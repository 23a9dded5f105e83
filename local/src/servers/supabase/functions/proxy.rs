//! A function of the user's own, served by another process.

use anyhow::{Context as _, Result, ensure};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use reqwest::{Client, Url};

use super::error::platform_error;

/// These belong to one connection, not to the request.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Passes requests on to one URL, and answers back as they come.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    base: Url,
    client: Client,
}

impl Proxy {
    /// Reads `NAME=URL`.
    pub(crate) fn parse(text: &str) -> Result<(String, Self)> {
        let help = || format!("--function: {text:?} is not NAME=URL, as in hello=http://localhost:8000");
        let (name, url) = text.split_once('=').with_context(help)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        ensure!(!name.is_empty() && name.chars().all(plain), help());
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).with_context(help)?;
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok((name.to_owned(), Self { base, client }))
    }

    pub(super) async fn forward(&self, rest: &str, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let mut url = self.base.clone();
        if !rest.is_empty() {
            url.set_path(&format!("{}/{rest}", self.base.path().trim_end_matches('/')));
        }
        if parts.uri.query().is_some() {
            url.set_query(parts.uri.query());
        }
        let sent = self
            .client
            .request(parts.method, url)
            // With its length, if it has one: small servers read no body without.
            .headers(end_to_end(parts.headers))
            .body(reqwest::Body::wrap_stream(body.into_data_stream()))
            .send();
        match sent.await {
            Ok(answer) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = answer.status();
                *response.headers_mut() = end_to_end(answer.headers().clone());
                // The body is sent on as a stream, whose framing is the connection's own.
                response.headers_mut().remove(header::CONTENT_LENGTH);
                *response.body_mut() = Body::from_stream(answer.bytes_stream());
                response
            }
            Err(error) => {
                let error = anyhow::Error::new(error.without_url());
                tracing::warn!(error = format!("{error:#}"), url = %self.base, "a function's process did not answer");
                platform_error(StatusCode::SERVICE_UNAVAILABLE, "BOOT_ERROR", "Function failed to start")
            }
        }
    }
}

fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers
}
