//! The Behest gateway's origin: mint, chat, models and usage.

mod answer;
mod builtin;
mod chat;
mod cors;
mod cut;
mod error;
mod events;
mod gate;
mod http_upstream;
mod meter;
mod mint;
mod prompt;
mod rates;
mod recorder;
mod relay;
mod reply;
mod request;
mod responder;
mod state;
mod stop;
mod threads;
mod token;
mod trace;
mod usage;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};

use self::error::GatewayError;
use super::access_log;
use super::inject_faults::{self, Injector};
use crate::store::keys;

pub(crate) use rates::Rates;
pub(crate) use recorder::Recorder;
pub(crate) use responder::Responder;
pub(crate) use state::Gateway;
pub(crate) use stop::Stop;

/// Room for long conversations with pictures in them.
const CHAT_LIMIT: usize = 16 * 1024 * 1024;
const MINT_LIMIT: usize = 64 * 1024;

impl Gateway {
    pub(crate) fn router(self, exposed_headers: Option<&str>) -> Router {
        let shared = Arc::clone(&self.shared);
        let faults = Injector {
            shared: Arc::clone(&shared),
            refuse: |status, message| GatewayError::of_status(status, message).into_response(),
            owns_cors: false,
        };
        let activity = (shared.activity.clone(), "gateway");
        let mint = || post(mint::mint).layer(DefaultBodyLimit::max(MINT_LIMIT));
        Router::new()
            .route("/v1/auth/mint", mint())
            .route("/auth/v1/auth/mint", mint())
            .route("/.well-known/jwks.json", get(jwks))
            .route("/v1/chat/completions", post(chat::completions).layer(DefaultBodyLimit::max(CHAT_LIMIT)))
            .route("/v1/models", get(chat::models))
            .route("/v1/models/{*id}", get(chat::model))
            .route("/v1/threads", get(threads::list))
            .route("/v1/threads/{id}", get(threads::get).delete(threads::delete))
            .route("/v1/threads/{id}/messages", get(threads::messages))
            .route("/v1/usage", get(usage::usage))
            .route("/v1/billing/usage", get(usage::billing))
            .fallback(|| async { GatewayError::not_found() })
            .method_not_allowed_fallback(|| async { GatewayError::method_not_allowed() })
            .with_state(self)
            .layer(middleware::from_fn_with_state(faults, inject_faults::inject))
            .layer(cors::layer(&shared.origins, exposed_headers))
            .layer(middleware::from_fn_with_state(shared.origins.clone(), cors::guard))
            .layer(middleware::from_fn_with_state(shared.controls.clone(), error::shape))
            .layer(middleware::from_fn_with_state(activity, access_log::note))
            .layer(middleware::from_fn(trace::trace))
    }
}

async fn jwks(State(gateway): State<Gateway>) -> Result<Json<Value>, GatewayError> {
    gateway.shared.counters.add("gateway.jwks");
    let mut keys = gateway.shared.identity.gateway_signer.jwks();
    keys.extend(gateway.shared.store.run(|db| keys::signing_keys(db)).await?);
    Ok(Json(json!({ "keys": keys })))
}
