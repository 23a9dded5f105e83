//! What Prometheus reads: how mints end and how long they take, and the same of what they ask other servers.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use behest_client::server::{HttpClient, HttpError, Limits, NativeClient};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;

/// `result` is `minted`, `refused` or `failed`, `reason` the code of a refusal.
const MINTS: &str = "behest_mints_total";
const MINT_SECONDS: &str = "behest_mint_duration_seconds";
const IN_FLIGHT: &str = "behest_mints_in_flight";
/// `to` is `keys`, `rest`, `auth` or `mint`, `result` a status, `timeout`, `too_large` or `failed`.
const EXCHANGES: &str = "behest_exchanges_total";
const EXCHANGE_SECONDS: &str = "behest_exchange_duration_seconds";

/// Upper bounds in seconds: from a signature in this process to the longest wait for another server.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Sums are folded so often, whether anybody reads them or not: memory stays level.
const UPKEEP: Duration = Duration::from_secs(5);
/// Refusals are some hundred bytes.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// `/metrics`, for an address of its own: it tells how many users there are and what goes wrong.
pub(crate) fn routes() -> anyhow::Result<Router> {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS).and_then(PrometheusBuilder::install_recorder);
    let recorder = recorder.context("the metrics cannot be set up")?;
    describe_counter!(MINTS, "Requests for a gateway token, by how they ended");
    describe_histogram!(MINT_SECONDS, "Time from the request for a token to its answer");
    describe_gauge!(IN_FLIGHT, "Requests for a token that have not been answered yet");
    describe_counter!(EXCHANGES, "Requests to Supabase and Behest, by how they ended");
    describe_histogram!(EXCHANGE_SECONDS, "Time from a request to Supabase or Behest to its whole answer");
    let upkept = recorder.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkept.run_upkeep();
        }
    });
    Ok(Router::new().route("/metrics", get(async move || recorder.render())))
}

/// A request for a token, counted. Preflights are not.
pub(crate) async fn count_mint(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let began = Instant::now();
    let in_flight = InFlight::begin();
    let response = next.run(request).await;
    drop(in_flight);
    let (response, result, reason) = ending(response).await;
    histogram!(MINT_SECONDS, "result" => result).record(began.elapsed());
    counter!(MINTS, "result" => result, "reason" => reason).increment(1);
    response
}

/// Counts down however the request ends: a caller who leaves has its future dropped.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        gauge!(IN_FLIGHT).increment(1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(IN_FLIGHT).decrement(1);
    }
}

/// How the request for a token ended, by its answer: a refusal's code is one of the reasons of this package.
async fn ending(response: Response) -> (Response, &'static str, String) {
    let status = response.status();
    if status.is_success() {
        return (response, "minted", String::new());
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_REFUSAL).await else {
        return (StatusCode::INTERNAL_SERVER_ERROR.into_response(), "failed", String::new());
    };
    let told: Option<Value> = serde_json::from_slice(&body).ok();
    let reason = told.as_ref().and_then(|told| told["error"]["code"].as_str()).unwrap_or_default().to_owned();
    let result = if status.is_server_error() { "failed" } else { "refused" };
    (Response::from_parts(parts, Body::from(body)), result, reason)
}

/// The way to other servers, metered.
pub(crate) struct Metered(NativeClient);

impl Metered {
    pub(crate) fn new(client: NativeClient) -> Self {
        Self(client)
    }
}

impl HttpClient for Metered {
    fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> BoxFuture<'static, Result<http::Response<Bytes>, HttpError>> {
        let to = destination(request.method(), request.uri().path());
        let answer = self.0.send(request, limits);
        Box::pin(async move {
            let began = Instant::now();
            let answer = answer.await;
            let result = match &answer {
                Ok(response) => response.status().as_str().to_owned(),
                Err(HttpError::Timeout) => "timeout".to_owned(),
                Err(HttpError::TooLarge) => "too_large".to_owned(),
                Err(_) => "failed".to_owned(),
            };
            histogram!(EXCHANGE_SECONDS, "to" => to).record(began.elapsed());
            counter!(EXCHANGES, "to" => to, "result" => result).increment(1);
            answer
        })
    }
}

/// By what the endpoint and the guards ask of whom. Paths themselves would name tables and users.
fn destination(method: &Method, path: &str) -> &'static str {
    if path.contains("/rest/v1/") {
        "rest"
    } else if path.ends_with("/auth/v1/user") {
        "auth"
    } else if *method == Method::POST {
        "mint"
    } else {
        "keys"
    }
}
