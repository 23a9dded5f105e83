//! `POST /v1/chat/completions` and `GET /v1/models`.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use behest_client::wire::is_id;
use serde_json::Value;

use super::cut;
use super::error::GatewayError;
use super::gate::Caller;
use super::meter::{Chat, Meter, Outcome, says_error};
use super::relay::Relay;
use super::reply::Reply;
use super::request::ChatRequest;
use super::state::Gateway;
use super::threads;
use super::trace::TraceId;
use crate::domain::gateway_token::GatewayClaims;

/// Spend of a token without a session goes here.
const NO_SESSION: &str = "no-session";

pub(crate) async fn completions(
    State(gateway): State<Gateway>,
    Extension(TraceId(request_id)): Extension<TraceId>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, GatewayError> {
    gateway.shared.counters.add("chat");
    let claims = gateway.caller(&headers).await?;
    let session_id = session_id(&headers, &claims)?;
    let thread_id = threads::thread_id(&headers)?;
    readable(&headers)?;
    let mut request = ChatRequest::parse(&body?)?;
    gateway.responder.knows(&request)?;
    gateway.guard(&request)?;
    let turn = match thread_id {
        Some(id) => Some(gateway.recall(claims.uid.clone(), id, &mut request).await?),
        None => None,
    };
    let model = gateway.responder.model(&request);
    let caller = Caller { user_id: claims.uid, session_id, tier: claims.tier };
    let permit = gateway.admit(&caller, &mut request, &request_id, model.clone()).await?;
    let mut meter = Meter::new(
        Chat {
            request_id,
            user_id: caller.user_id,
            session_id: caller.session_id,
            model,
            prompt_tokens: request.prompt_expected(),
            turn,
        },
        gateway.recorder.clone(),
    );
    meter.limit(permit.use_up());
    let reply = tokio::select! {
        reply = gateway.responder.chat(&request) => reply,
        why = gateway.stop.reason() => gateway.check_alive().and(Err(GatewayError::upstream(why))),
    };
    match reply {
        Err(error) => {
            meter.refused().await;
            Err(error)
        }
        Ok(Reply::Whole(body)) => whole(&gateway, meter, body).await,
        Ok(Reply::Events(events)) => {
            let responder = Arc::clone(&gateway.responder);
            let relay = Relay::new(events, meter, !request.wants_usage, responder, gateway.stop.clone());
            Ok(event_stream(Body::from_stream(relay.into_stream())))
        }
    }
}

/// A compressed body would only be told not to be JSON.
fn readable(headers: &HeaderMap) -> Result<(), GatewayError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            let message = "Compressed bodies are not read here: send it without Content-Encoding";
            Err(GatewayError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "validation_error", message))
        }
        _ => Ok(()),
    }
}

async fn whole(gateway: &Gateway, mut meter: Meter, body: Bytes) -> Result<Response, GatewayError> {
    let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
        meter.refused().await;
        return Err(GatewayError::upstream("The upstream's answer is not JSON"));
    };
    meter.see(&json);
    if let Some((bytes, tokens)) = meter.cut() {
        tracing::warn!(tokens, "the upstream's answer is longer than the limit it was sent: it is cut");
        cut::shorten(&mut json, bytes, tokens);
        meter.remember_instead(&json);
        meter.end(Outcome::Length).await;
        return Ok(Json(json).into_response());
    }
    meter.end(meter.outcome()).await;
    let body = if says_error(&json) { gateway.responder.without_key(body) } else { body };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Headers that keep proxies from holding the stream back.
fn event_stream(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

/// The header names the session; without it, the token does.
fn session_id(headers: &HeaderMap, claims: &GatewayClaims) -> Result<String, GatewayError> {
    let Some(value) = headers.get("x-session-id") else {
        return Ok(if claims.sid.is_empty() { NO_SESSION.to_owned() } else { claims.sid.clone() });
    };
    match value.to_str() {
        Ok(id) if is_id(id) => Ok(id.to_owned()),
        _ => Err(GatewayError::invalid("X-Session-Id must be 1 to 255 visible ASCII characters")),
    }
}

pub(crate) async fn models(State(gateway): State<Gateway>, headers: HeaderMap) -> Result<Json<Value>, GatewayError> {
    gateway.shared.counters.add("models");
    gateway.caller(&headers).await?;
    gateway.responder.models().await.map(Json)
}

/// `GET /v1/models/{id}`
pub(crate) async fn model(
    State(gateway): State<Gateway>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Value>, GatewayError> {
    let Path(id) = id?;
    let Json(models) = models(State(gateway), headers).await?;
    let all = models.get("data").and_then(Value::as_array).into_iter().flatten();
    let found = all.into_iter().find(|model| model.get("id").and_then(Value::as_str) == Some(&id)).cloned();
    let unknown = || GatewayError::new(StatusCode::NOT_FOUND, "not_found", format!("There is no model {id:?}"));
    found.map(Json).ok_or_else(unknown)
}
