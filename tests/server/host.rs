//! The axum server of the conformance suite. `/{name}` is a token endpoint, a guard or a webhook of that name in cases.json.
//! With `VECTORS` it prints test vectors for the other runtimes, one line of JSON each, and ends.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use behest_client::Reason;
use behest_client::server::axum::{authenticate, receive, router};
use behest_client::server::webhook::Webhook;
use behest_client::server::{Caller, Guard, Mode, Settings, TokenEndpoint};
use serde_json::{Value, json};

#[allow(clippy::unwrap_used, reason = "test vectors that cannot be read are a defect of the library that has them")]
mod vectors;

type Table = BTreeMap<String, Value>;

#[derive(serde::Deserialize)]
struct Program {
    settings: Table,
    guards: Table,
    webhooks: Table,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os("VECTORS").is_some() {
        vectors::every(|vector| {
            let (message, signature) = (vectors::encode(vector.message), vectors::encode(vector.signature));
            let line = json!([vector.algorithm, vector.id, vector.jwk, message, signature, vector.valid]);
            println!("{line}");
        });
        return Ok(());
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let Program { settings, guards, webhooks } = serde_json::from_str(&std::env::var("SETTINGS")?)?;
    let mut app = axum::Router::new();
    for (name, variables) in settings {
        let settings = Settings::from_lookup(|name| variables[name].as_str().map(str::to_owned));
        app = app.nest(&format!("/{name}"), router(TokenEndpoint::new(settings)?));
    }
    for (name, options) in guards {
        app = app.nest(&format!("/{name}"), guarded(guard(&options)?));
    }
    for (name, options) in webhooks {
        let webhook = Arc::new(webhook(&options)?);
        let handle = move |request: Request| deliver(Arc::clone(&webhook), request);
        app = app.nest(&format!("/{name}"), axum::Router::new().fallback(handle));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}

fn guard(options: &Value) -> Result<Guard, Box<dyn Error>> {
    let modes = match [&options["auth"], &options["allow"]].into_iter().find(|modes| !modes.is_null()) {
        Some(Value::Array(modes)) => modes.iter().filter_map(Value::as_str).collect(),
        Some(mode) => vec![mode.as_str().ok_or("a mode is no text")?],
        None => vec!["user"],
    };
    let modes = modes.iter().map(|mode| mode.parse()).collect::<Result<Vec<Mode>, _>>()?;
    Ok(Guard::new(
        Settings::from_lookup(|name| text(&options[option_name(name)]).or_else(|| text(&options["env"][name]))),
        modes,
    )?)
}

fn text(value: &Value) -> Option<String> {
    value.as_bool().map(|flag| flag.to_string()).or_else(|| value.as_str().map(str::to_owned))
}

/// What a variable is called where it is an option: `CHECK_SESSION` is `checkSession`.
fn option_name(name: &str) -> String {
    let mut words = name.split('_').map(str::to_lowercase);
    let first = words.next().unwrap_or_default();
    words.fold(first, |all, word| all + &word[..1].to_uppercase() + &word[1..])
}

fn guarded(guard: Guard) -> axum::Router {
    let tell = async |caller: Caller| {
        answer(
            StatusCode::OK,
            json!({
                "authMode": caller.mode().as_str(), "authType": caller.mode().older_str(),
                "authKeyName": caller.key_name(), "sub": caller.user().map(|user| user.id()),
            }),
        )
    };
    axum::Router::new().fallback(tell).layer(axum::middleware::from_fn_with_state(guard, authenticate))
}

fn webhook(options: &Value) -> Result<Webhook, Box<dyn Error>> {
    let secret = options["secret"].as_str().ok_or("no secret")?;
    let webhook = match options["sender"].as_str() {
        Some("stripe") => Webhook::stripe(secret)?,
        Some("github") => Webhook::github(secret)?,
        _ => Webhook::standard(secret)?,
    };
    Ok(match options["toleranceSecs"].as_u64() {
        Some(tolerance) => webhook.tolerance(Duration::from_secs(tolerance)),
        None => webhook,
    })
}

async fn deliver(webhook: Arc<Webhook>, request: Request) -> Response {
    match receive(&webhook, request).await {
        Ok((delivery, body)) => {
            let at = delivery.signed_at.map(|at| at.as_secs());
            answer(StatusCode::OK, json!({"id": delivery.id, "signedAt": at, "body": String::from_utf8_lossy(&body)}))
        }
        Err(error) => {
            let reason = error.reason();
            let told = json!({"code": reason.as_str(), "message": "refused", "hint": reason.hint()});
            let status = match reason {
                Reason::PayloadTooLarge => 413,
                Reason::Timeout => 408,
                Reason::InvalidRequest => 400,
                _ => 401,
            };
            answer(StatusCode::from_u16(status).unwrap_or_default(), json!({"error": told}))
        }
    }
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, [("cache-control", "no-store"), ("x-content-type-options", "nosniff")], Json(body)).into_response()
}
