//! The token endpoint and three guarded routes in an axum server.
//!
//! `SUPABASE_URL`, `BEHEST_KEY`, `BEHEST_BASE_URL`, `CORS_ORIGIN`, `SUPABASE_PUBLISHABLE_KEYS`, `SUPABASE_SECRET_KEYS` and
//! `STRIPE_WEBHOOK_SECRET` set it up; it listens at `LISTEN`, by default 127.0.0.1:3000.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use behest_client::server::axum::{authenticate, receive, router};
use behest_client::server::webhook::Webhook;
use behest_client::server::{Caller, Guard, Mode, Settings, TokenEndpoint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::ctrl_c;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    // First of all: its error lists every setting that is missing.
    let settings = Settings::from_env();
    let endpoint = TokenEndpoint::new(settings.clone())?;
    let stripe = std::env::var("STRIPE_WEBHOOK_SECRET").context("STRIPE_WEBHOOK_SECRET is not set")?;
    let stripe = Arc::new(Webhook::stripe(&stripe)?);
    let app = Router::new()
        .nest("/functions/v1/behest-token", router(endpoint))
        // One user's own rows.
        .route("/notes", get(notes).layer(from_fn_with_state(guard(&settings, &["user"])?, authenticate)))
        // Another server of ours, with the secret key named `jobs`.
        .route("/report", post(report).layer(from_fn_with_state(guard(&settings, &["secret:jobs"])?, authenticate)))
        // Anybody.
        .route("/health", get(health).layer(from_fn_with_state(guard(&settings, &["none"])?, authenticate)))
        // Stripe proves itself by its signature.
        .route("/stripe", post(move |request| paid(Arc::clone(&stripe), request)));

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&listen).await.with_context(|| format!("cannot listen at {listen}"))?;
    println!("listening {}", listener.local_addr()?.port());
    serve(listener, app).await;
    Ok(())
}

/// How long the head of a request may take to arrive. `axum::serve` waits for ever, and each caller who never ends holds a
/// connection.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long requests that have begun may go on once the server is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Serves until it is told to stop.
async fn serve(listener: TcpListener, app: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(told_to_stop());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: others have to end first.
                    tracing::error!(%error, "no connection could be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        let connection = connections.watch(connection);
        // What ends a connection early is the caller's affair.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(tokio::time::timeout(LAST_REQUESTS, connections.shutdown()).await);
}

/// By Ctrl-C, or by SIGTERM, as whoever runs containers does it.
async fn told_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = ctrl_c() => return,
        }
    }
    drop(ctrl_c().await);
}

fn guard(settings: &Settings, modes: &[&str]) -> anyhow::Result<Guard> {
    let modes = modes.iter().map(|mode| mode.parse()).collect::<Result<Vec<Mode>, _>>()?;
    Ok(Guard::new(settings.clone(), modes)?)
}

/// Row level security shows each user his own.
async fn notes(caller: Caller) -> Response {
    match caller.rest().request(Method::GET, "notes").query("select", "*").send().await {
        Ok(rows) => (rows.status(), rows.into_body()).into_response(),
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
        Err(error) => return (StatusCode::UNAUTHORIZED, Json(json!({ "error": error.reason().as_str() }))),
    };
    match serde_json::from_slice::<Value>(&body) {
        Ok(event) => (StatusCode::OK, Json(json!({ "received": event["id"] }))),
        Err(_) => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_request" }))),
    }
}
