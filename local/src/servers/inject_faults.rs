//! Middleware that carries out the faults that are set.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, OriginalUri, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::shared::Shared;
use crate::domain::faults::{Effect, Fault};

/// A request of this machine asks for a fault of its own answer with this header, such as `status=503`.
pub(super) const HEADER: &str = "x-behest-local-fault";

/// How a server says that it failed.
type Refuse = fn(StatusCode, String) -> Response;

/// The faults of one server, whose errors have a shape of their own.
#[derive(Clone)]
pub(super) struct Injector {
    pub(super) shared: Arc<Shared>,
    pub(super) refuse: Refuse,
    /// Nobody after it answers for CORS.
    pub(super) owns_cors: bool,
}

/// Middleware. Preflights are spared: what is tested is the call after them.
pub(super) async fn inject(
    State(Injector { shared, refuse, owns_cors }): State<Injector>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let origin =
        request.headers().get(header::ORIGIN).filter(|origin| owns_cors && shared.origins.allows(origin)).cloned();
    let refuse = |status, text: String| {
        let mut response = refuse(status, text);
        if let Some(origin) = origin.clone() {
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        }
        response
    };
    let asked = request.headers().get(HEADER).filter(|_| peer.ip().to_canonical().is_loopback());
    let (effect, text) = match asked.map(|value| value.to_str().unwrap_or_default()) {
        Some(text) => match Effect::parse(text.split_whitespace()) {
            Ok((effect, _)) => (effect, text.to_owned()),
            Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("{HEADER}: {error:#}")),
        },
        None => match shared.faults.take(uri.path()) {
            Some(Fault { effect, times, text, .. }) => {
                if times.is_some()
                    && let Err(error) = shared.keep_faults().await
                {
                    tracing::warn!(error = format!("{error:#}"), "the faults that are left could not be kept");
                }
                (effect, text)
            }
            None => return next.run(request).await,
        },
    };
    if let Some(delay) = effect.delay {
        tokio::time::sleep(delay).await;
    }
    let mut response = match effect.status {
        Some(status) => refuse(status, format!("This fault was asked for: {text}")),
        None => next.run(request).await,
    };
    if let Some(seconds) = effect.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if effect.cut.or(effect.stall).or(effect.chunks).is_none() {
        return response;
    }
    // The length would tell clients beforehand.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, mangle(body, effect))
}

/// The body up to the point where it breaks or falls silent, in pieces of the size that is set.
fn mangle(body: Body, effect: Effect) -> Body {
    let end = effect.cut.into_iter().chain(effect.stall).min();
    let state = (body.into_data_stream(), Bytes::new(), 0_usize);
    let pieces = stream::unfold(state, move |(mut rest, mut ready, sent)| {
        let Effect { cut, chunks, .. } = effect;
        async move {
            if end.is_some_and(|end| sent >= end) {
                if cut.is_some_and(|cut| sent >= cut) {
                    // A moment for what was sent to leave this machine before the connection breaks.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let broken = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "this fault was asked for");
                    return Some((Err(broken), (rest, ready, 0)));
                }
                std::future::pending::<()>().await;
            }
            while ready.is_empty() {
                match rest.next().await? {
                    Ok(bytes) => ready = bytes,
                    Err(error) => return Some((Err(std::io::Error::other(error)), (rest, ready, sent))),
                }
            }
            let most = chunks.unwrap_or(usize::MAX).min(end.map_or(usize::MAX, |end| end - sent));
            let piece = ready.split_to(ready.len().min(most));
            if chunks.is_some() {
                // Lets the piece be written alone.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let sent = sent + piece.len();
            Some((Ok(piece), (rest, ready, sent)))
        }
    });
    Body::from_stream(pieces)
}
