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
/// Bodies beyond these sizes are passed on unread.
const LARGEST_PROMPT: u64 = 1024 * 1024;
const LARGEST_REFUSAL: u64 = 64 * 1024;
/// What they hold is nobody's business: the length must do.
const SECRET: [&str; 6] = ["authorization", "apikey", "x-api-key", "cookie", "set-cookie", "proxy-authorization"];

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
    let text = |name: header::HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
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
    let claim = |names: [&str; 2]| names.iter().find_map(|name| Some(claims.get(*name)?.as_str()?.to_owned()));
    let named = headers.get("x-session-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    (claim(["uid", "sub"]), named.or_else(|| claim(["sid", "session_id"])))
}

/// Headers as they may be shown.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &str, value: &[u8]| {
        let text = String::from_utf8_lossy(value);
        if !SECRET.contains(&name) {
            return text.into_owned();
        }
        let scheme = text.split_once(' ').map(|(scheme, _)| format!("{scheme} ")).unwrap_or_default();
        format!("{scheme}… ({} characters)", text.len() - scheme.len())
    };
    headers.iter().map(|(name, text)| (name.to_string(), value(name.as_str(), text.as_bytes()))).collect()
}

fn beginning(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_TEXT)]).into_owned()
}

/// The request again, with the beginning of its body.
async fn read(request: Request) -> (Request, String) {
    if request.body().size_hint().exact().is_none_or(|size| size > LARGEST_PROMPT) {
        return (request, "(larger than 1 MiB, or of unknown size)".to_owned());
    }
    let (parts, body) = request.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => {
            let asked = beginning(&bytes);
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
            activity.ended(id, began.elapsed().as_millis(), &beginning(&self.text));
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
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let headers = [("authorization", "Bearer abc.def.ghi"), ("apikey", "sb_secret_x"), ("accept", "text/plain")];
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let shown = shown(&headers);
        let of = |name: &str| shown.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str()).unwrap();
        assert_eq!(of("authorization"), "Bearer … (11 characters)");
        assert_eq!(of("apikey"), "… (11 characters)");
        assert_eq!(of("accept"), "text/plain");
    }
}
