//! Middleware that notes every request to a server but those of the tools.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use behest_client::wire::{ErrorBody, decode_token};
use futures_util::stream;
use hyper::body::{Body as _, Frame, SizeHint};

use super::bearer;
use crate::domain::activity::{Activity, Refusal, Served, Texts};

/// Of a prompt or an answer, so much is kept.
const LONGEST_TEXT: usize = 16 * 1024;
/// Of a header, so much is kept: enough for any token.
const LONGEST_HEADER: usize = 8 * 1024;
const LONGEST_ID: usize = 255;
/// Bodies beyond these sizes are passed on unread.
const LARGEST_PROMPT: u64 = 1024 * 1024;
const LARGEST_REFUSAL: u64 = 64 * 1024;
/// What they hold is nobody's business: the length must do.
const SECRET: [&str; 4] = ["apikey", "x-api-key", "cookie", "set-cookie"];
/// The same, behind the name of a scheme.
const WITH_SCHEME: [&str; 2] = ["authorization", "proxy-authorization"];
const SCHEMES: [&str; 2] = ["bearer ", "basic "];
/// May hold secrets behind their path.
const ADDRESSES: [&str; 2] = ["location", "referer"];

pub(super) async fn note(
    State((activity, server)): State<(Activity, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    if path.starts_with("/_local") || path.starts_with("/dashboard") {
        return next.run(request).await;
    }
    let headers = request.headers();
    let (user_id, session_id) = claimed(headers);
    let text = |name: header::HeaderName| Some(beginning(headers.get(name)?.as_bytes(), LONGEST_HEADER));
    let mut served = Served {
        at: activity.now_ms(),
        server,
        method: request.method().to_string(),
        origin: text(header::ORIGIN),
        user_id,
        session_id,
        headers: shown(headers),
        ..Served::default()
    };
    let is_chat = request.method() == Method::POST && path.ends_with("/chat/completions");
    served.path = path;
    let began = Instant::now();
    let request = if is_chat && activity.keeps_texts() {
        let (request, asked) = read(request).await;
        served.texts = Some(Texts { asked, answered: String::new() });
        request
    } else {
        request
    };
    let response = next.run(request).await;
    (served.status, served.ms) = (response.status().as_u16(), began.elapsed().as_millis());
    served.answer_headers = shown(response.headers());
    let response = if served.status >= 400 {
        let (response, refusal) = refusal(response).await;
        served.refusal = refusal;
        response
    } else {
        response
    };
    let keeps = served.texts.is_some();
    let id = activity.served(served);
    response.map(|body| Body::new(Noted { body, keeps, text: Vec::new(), end: Some(End { activity, id, began }) }))
}

/// Whom the token says it is for, unverified: for display.
fn claimed(headers: &HeaderMap) -> (Option<String>, Option<String>) {
    let claims = bearer::token(headers).and_then(decode_token).unwrap_or_default();
    let short = |id: &str| beginning(id.as_bytes(), LONGEST_ID);
    let claim = |names: [&str; 2]| names.iter().find_map(|name| Some(short(claims.get(*name)?.as_str()?)));
    let named = headers.get("x-session-id").and_then(|value| value.to_str().ok()).map(short);
    (claim(["uid", "sub"]), named.or_else(|| claim(["sid", "session_id"])))
}

/// Headers as they may be shown.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &str, value: &[u8]| {
        let text = beginning(value, LONGEST_HEADER);
        let said = if WITH_SCHEME.contains(&name) {
            let scheme = text.split_inclusive(' ').next().unwrap_or_default();
            if SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)) { scheme } else { "" }
        } else if SECRET.contains(&name) {
            ""
        } else if ADDRESSES.contains(&name) {
            // A way back from sign-in has the session behind these.
            text.split(['?', '#']).next().unwrap_or_default()
        } else {
            &text
        };
        match value.len().saturating_sub(said.len()) {
            0 => said.to_owned(),
            more => format!("{said}… ({more} characters)"),
        }
    };
    headers.iter().map(|(name, text)| (name.to_string(), value(name.as_str(), text.as_bytes()))).collect()
}

fn beginning(bytes: &[u8], longest: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(longest)]).into_owned()
}

/// The request again, with the beginning of its body.
async fn read(request: Request) -> (Request, String) {
    if request.body().size_hint().exact().is_none_or(|size| size > LARGEST_PROMPT) {
        return (request, "(larger than 1 MiB, or of unknown size)".to_owned());
    }
    let (parts, body) = request.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => {
            let asked = beginning(&bytes, LONGEST_TEXT);
            (Request::from_parts(parts, bytes.into()), asked)
        }
        Err(error) => {
            let broken = stream::once(async { Err::<Bytes, _>(error) });
            (Request::from_parts(parts, Body::from_stream(broken)), "(broke off)".to_owned())
        }
    }
}

/// The response again, with what it says of the refusal.
async fn refusal(response: Response) -> (Response, Option<Refusal>) {
    if response.body().size_hint().exact().is_none_or(|size| size > LARGEST_REFUSAL) {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let said = ErrorBody::parse(&bytes);
    let refusal =
        Refusal { code: said.code.unwrap_or_default(), message: said.message.unwrap_or_default(), hint: said.hint };
    (Response::from_parts(parts, bytes.into()), Some(refusal))
}

/// A body whose end is noted, whether it is read to it or dropped before.
struct Noted {
    body: Body,
    keeps: bool,
    text: Vec<u8>,
    end: Option<End>,
}

struct End {
    activity: Activity,
    id: u64,
    began: Instant,
}

impl Noted {
    fn end(&mut self) {
        if let Some(End { activity, id, began }) = self.end.take() {
            activity.ended(id, began.elapsed().as_millis(), &beginning(&self.text, LONGEST_TEXT));
        }
    }
}

impl hyper::body::Body for Noted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) if self.keeps && self.text.len() < LONGEST_TEXT => {
                let data = frame.data_ref().cloned().unwrap_or_default();
                self.text.extend_from_slice(&data);
            }
            Poll::Ready(None | Some(Err(_))) => self.end(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn shown_as(name: &'static str, value: &str) -> String {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]);
        shown(&headers).remove(0).1
    }

    #[test]
    fn secrets_are_not_shown() {
        for (name, value, expected) in [
            ("authorization", "Bearer abc.def.ghi", "Bearer … (11 characters)"),
            ("authorization", "abc.def.ghi and more", "… (20 characters)"),
            ("apikey", "sb_secret_x", "… (11 characters)"),
            ("cookie", "session=abc; theme=dark", "… (23 characters)"),
            ("set-cookie", "session=abc; Path=/", "… (19 characters)"),
            ("location", "http://localhost:5173/a#access_token=abc", "http://localhost:5173/a… (17 characters)"),
            ("location", "http://localhost:5173/?code=abc", "http://localhost:5173/… (9 characters)"),
            ("referer", "http://localhost:5173/", "http://localhost:5173/"),
            ("accept", "text/plain", "text/plain"),
        ] {
            assert_eq!(shown_as(name, value), expected);
        }
    }

    #[test]
    fn a_long_header_does_not_fill_the_memory() {
        assert!(shown_as("from", &"x".repeat(300_000)).len() < LONGEST_HEADER + 100);
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-session-id"), "x".repeat(9000).parse().unwrap())]);
        assert_eq!(claimed(&headers), (None, Some("x".repeat(LONGEST_ID))));
        let no_text = HeaderValue::from_bytes(&[0xff; 9]).unwrap();
        assert_eq!(shown(&HeaderMap::from_iter([(header::FROM, no_text)]))[0].1, "\u{fffd}".repeat(9));
    }
}
