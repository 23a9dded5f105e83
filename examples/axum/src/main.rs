//! The token endpoint and three guarded routes in an axum server, ready to run as any number of replicas: it keeps nothing but
//! the project's public keys.
//!
//! | variable | |
//! |---|---|
//! | `SUPABASE_URL`, `BEHEST_KEY`, `BEHEST_BASE_URL`, `CORS_ORIGIN`, `SUPABASE_PUBLISHABLE_KEYS`, `SUPABASE_SECRET_KEYS` | as `Settings` has them, and the rest of its variables |
//! | `STRIPE_WEBHOOK_SECRET` | of the route `/stripe` |
//! | `LISTEN` | default 127.0.0.1:3000 |
//! | `METRICS_LISTEN` | where Prometheus finds `/metrics`; not the address that the world reaches. Without it there is none |
//! | `DRAIN_SECONDS` | told to stop, it serves on for so long while `/readyz` says 503, until the load balancer has noticed. Default 0 |

mod metrics;
mod probes;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use behest_client::Reason;
use behest_client::server::axum::{authenticate, receive, router};
use behest_client::server::webhook::Webhook;
use behest_client::server::{Caller, Guard, Mode, NativeClient, Settings, TokenEndpoint};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::metrics::{Metered, count_mint};
use crate::probes::Draining;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    // First of all: its error lists every setting that is missing.
    let settings = Settings::from_env().http(Arc::new(Metered::new(NativeClient::new()?)));
    let endpoint = TokenEndpoint::new(settings.clone())?;
    let stripe = std::env::var("STRIPE_WEBHOOK_SECRET").context("STRIPE_WEBHOOK_SECRET is not set")?;
    let stripe = Arc::new(Webhook::stripe(&stripe)?);
    let drain = match std::env::var("DRAIN_SECONDS") {
        Ok(seconds) => Duration::from_secs(seconds.parse().context("DRAIN_SECONDS is no whole number of seconds")?),
        Err(_) => Duration::ZERO,
    };
    let draining = Draining::default();
    let app = Router::new()
        .nest("/functions/v1/behest-token", router(endpoint).layer(from_fn(count_mint)))
        // One user's own rows.
        .route("/notes", get(notes).layer(from_fn_with_state(guard(&settings, &["user"])?, authenticate)))
        // Another server of ours, with the secret key named `jobs`.
        .route("/report", post(report).layer(from_fn_with_state(guard(&settings, &["secret:jobs"])?, authenticate)))
        // Anybody.
        .route("/health", get(health).layer(from_fn_with_state(guard(&settings, &["none"])?, authenticate)))
        // Stripe proves itself by its signature.
        .route("/stripe", post(move |request| paid(Arc::clone(&stripe), request)))
        .merge(probes::routes(draining.clone()))
        .layer(from_fn_with_state(draining.clone(), probes::part));

    if let Ok(address) = std::env::var("METRICS_LISTEN") {
        let (listener, metrics) = (listen(&address).await?, metrics::routes()?);
        println!("metrics {}", listener.local_addr()?.port());
        tokio::spawn(async move { axum::serve(listener, metrics).await });
    }
    let listener = listen(&std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned())).await?;
    println!("listening {}", listener.local_addr()?.port());
    serve::until_told_to_stop(listener, app, &draining, drain).await;
    Ok(())
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))
}

fn guard(settings: &Settings, modes: &[&str]) -> anyhow::Result<Guard> {
    let modes = modes.iter().map(|mode| mode.parse()).collect::<Result<Vec<Mode>, _>>()?;
    Ok(Guard::new(settings.clone(), modes)?)
}

/// Row level security shows each user his own.
async fn notes(caller: Caller) -> Response {
    match caller.rest().request(Method::GET, "notes").query("select", "*").send().await {
        Ok(rows) => (rows.status(), [(CONTENT_TYPE, "application/json")], rows.into_body()).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn report(caller: Caller) -> Json<Value> {
    Json(json!({ "startedBy": caller.key_name() }))
}

async fn health() -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// The body is parsed after its signature is checked, not before.
async fn paid(stripe: Arc<Webhook>, request: Request) -> (StatusCode, Json<Value>) {
    let body = match receive(&stripe, request).await {
        Ok((_, body)) => body,
        Err(error) => {
            let status = match error.reason() {
                Reason::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Reason::Timeout => StatusCode::REQUEST_TIMEOUT,
                Reason::InvalidRequest => StatusCode::BAD_REQUEST,
                _ => StatusCode::UNAUTHORIZED,
            };
            return (status, Json(json!({ "error": error.reason().as_str() })));
        }
    };
    match serde_json::from_slice::<Value>(&body) {
        Ok(event) => (StatusCode::OK, Json(json!({ "received": event["id"] }))),
        Err(_) => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_request" }))),
    }
}
