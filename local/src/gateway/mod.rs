//! The Behest gateway's origin: mint, chat, models and usage.

mod answer;
mod builtin;
mod chat;
mod error;
mod events;
mod gate;
mod http_upstream;
mod meter;
mod mint;
mod relay;
mod request;
mod threads;
mod token;
mod upstream;
mod usage;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::activity::{self, Activity};
use crate::clock::Clock;
use crate::controls::Controls;
use crate::counters::Counters;
use crate::faults::{self, Faults};
use crate::identity::Identity;
use crate::origins::{self, Origins};
use crate::store::{Store, keys};

pub(crate) use error::GatewayError;
pub(crate) use gate::Rates;
pub(crate) use meter::Recorder;
pub(crate) use mint::{Wish, mint_token};
pub(crate) use request::text_of;
pub(crate) use upstream::Upstream;

/// The `iss` of gateway tokens: nobody can take them for Behest's own.
pub(crate) const ISSUER: &str = "behest-local";

/// Room for long conversations with pictures in them.
const CHAT_LIMIT: usize = 16 * 1024 * 1024;
const MINT_LIMIT: usize = 64 * 1024;

/// What the handlers of this origin share.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) controls: Controls,
    pub(crate) rates: Rates,
    pub(crate) activity: Activity,
    pub(crate) faults: Faults,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) recorder: Recorder,
    /// Cancelled when running answers have to end.
    pub(crate) cut: CancellationToken,
}

/// The request's id: in `X-Trace-Id`, in the log and in the usage row.
#[derive(Clone, Debug)]
pub(crate) struct TraceId(pub(crate) String);

impl Gateway {
    pub(crate) fn router(self, origins: &Origins, exposed_headers: Option<&str>) -> Router {
        let (controls, faults) = (self.controls.clone(), self.faults.clone());
        let activity = (self.activity.clone(), "gateway");
        let mint = || post(mint::mint).layer(DefaultBodyLimit::max(MINT_LIMIT));
        Router::new()
            .route("/v1/auth/mint", mint())
            .route("/auth/v1/auth/mint", mint())
            .route("/.well-known/jwks.json", get(jwks))
            .route("/v1/chat/completions", post(chat::completions).layer(DefaultBodyLimit::max(CHAT_LIMIT)))
            .route("/v1/models", get(chat::models))
            .route("/v1/threads", get(threads::list))
            .route("/v1/threads/{id}", get(threads::get).delete(threads::delete))
            .route("/v1/threads/{id}/messages", get(threads::messages))
            .route("/v1/usage", get(usage::usage))
            .route("/v1/billing/usage", get(usage::billing))
            .fallback(|| async { GatewayError::not_found() })
            .method_not_allowed_fallback(|| async { GatewayError::method_not_allowed() })
            .with_state(self)
            .layer(middleware::from_fn_with_state(faults, faults::inject))
            .layer(origins::gateway_cors(origins, exposed_headers))
            .layer(middleware::from_fn_with_state(origins.clone(), origins::guard))
            .layer(middleware::from_fn_with_state(controls, error::shape))
            .layer(middleware::from_fn_with_state(activity, activity::note))
            .layer(middleware::from_fn(trace))
    }
}

async fn trace(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    request.extensions_mut().insert(TraceId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    tracing::info!(trace_id = id, status = response.status().as_u16(), "{method} {path}");
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert("x-trace-id", id);
    }
    response
}

async fn jwks(State(gateway): State<Gateway>) -> Result<Json<Value>, GatewayError> {
    gateway.counters.add("gateway.jwks");
    let mut keys = gateway.identity.gateway_signer.jwks();
    keys.extend(gateway.store.run(|db| keys::signing_keys(db)).await?);
    Ok(Json(json!({ "keys": keys })))
}
