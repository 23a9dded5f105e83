//! A project with real keys, other servers that answer as told, and the endpoint between them.

mod fake;
mod keys;
pub(crate) mod log;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use behest_client::server::{Clock, Settings, TokenEndpoint};
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

pub(crate) use fake::{Answer, Fake, answer};
pub(crate) use keys::{Key, jwt, raw_jwt};

pub(crate) const NOW: u64 = 1_795_000_000;
pub(crate) const USER: &str = "7c0e3f0a-6f57-4b56-9c1b-0d5f3a9b2c11";
pub(crate) const PAGE: &str = "https://app.example.com";
pub(crate) const PROJECT: &str = "https://ref.supabase.co";
pub(crate) const API_KEY: &str = "behest_sk_live_0123456789abcdef0123456789abcdef";
pub(crate) const SECRET: &str = "a-shared-secret-of-at-least-thirty-two-bytes";

pub(crate) const JWKS: &str = "/auth/v1/.well-known/jwks.json";
pub(crate) const PROFILES: &str = "/rest/v1/profiles";
pub(crate) const MINT: &str = "/v1/auth/mint";

/// The endpoint with its surroundings.
pub(crate) struct World {
    pub(crate) http: Arc<Fake>,
    pub(crate) endpoint: TokenEndpoint,
    time: Arc<AtomicU64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[], |settings| settings)
    }

    /// With these variables besides the usual ones; an empty value takes one away.
    pub(crate) fn with(extra: &[(&str, &str)], change: impl FnOnce(Settings) -> Settings) -> Self {
        let http = Arc::new(Fake::default());
        http.on(JWKS, |_| answer(200, json!({"keys": [Key::project().jwk("current")]})));
        http.on(PROFILES, |_| answer(406, json!({"code": "PGRST116", "message": "no row"})));
        http.on(MINT, minted);
        let time = Arc::new(AtomicU64::new(NOW));
        let clock = {
            let time = Arc::clone(&time);
            Clock::from_fn(move || Duration::from_secs(time.load(Ordering::SeqCst)))
        };
        let settings = Settings::from_lookup(lookup(extra)).http(http.clone()).clock(clock);
        Self { endpoint: TokenEndpoint::new(change(settings)).unwrap(), http, time }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) async fn post(&self, token: &str) -> Response<Bytes> {
        self.endpoint.handle(post(token)).await
    }
}

impl Drop for World {
    /// Whatever a test is about, nothing secret may have reached the log.
    fn drop(&mut self) {
        let log = log::written();
        if !std::thread::panicking() {
            assert!(!log.contains(API_KEY) && !log.contains(SECRET), "the log holds a key: {log}");
        }
    }
}

/// Behest's mint: the documented reply, in one of its two families.
fn minted(request: &Request<Bytes>) -> Answer {
    let order: Value = serde_json::from_slice(request.body()).unwrap();
    let token = jwt(&Key::project(), json!({"alg": "ES256"}), &json!({"iat": NOW, "exp": NOW + 900}));
    answer(200, json!({"jwt": token, "ttl": order["ttl"], "session_id": order["session_id"], "project_id": "p1"}))
}

pub(crate) fn lookup(extra: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    log::listen();
    let usual = [
        ("SUPABASE_URL", PROJECT),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1"),
        ("BEHEST_KEY", API_KEY),
        ("BEHEST_BASE_URL", "https://amber-fox-042.behest.app"),
        ("CORS_ORIGIN", PAGE),
    ];
    let pairs = usual.iter().chain(extra).map(|(name, value)| (name.to_string(), value.to_string()));
    let variables: BTreeMap<String, String> = pairs.collect();
    move |name| variables.get(name).cloned()
}

/// The claims of an ordinary session, with some of them changed; `null` takes one away.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": format!("{PROJECT}/auth/v1"), "aud": "authenticated", "sub": USER, "role": "authenticated",
        "iat": NOW - 10, "exp": NOW + 3590, "session_id": "f0b0", "is_anonymous": false, "email": "a@example.com",
    });
    let map = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(map.remove(name)),
            value => drop(map.insert(name.clone(), value.clone())),
        }
    }
    claims
}

/// A good session.
pub(crate) fn session() -> String {
    session_with(json!({}))
}

pub(crate) fn session_with(changes: Value) -> String {
    jwt(&Key::project(), json!({"alg": "ES256", "typ": "JWT", "kid": "current"}), &claims(changes))
}

pub(crate) fn post(token: &str) -> Request<Bytes> {
    post_body(token, "")
}

pub(crate) fn post_body(token: &str, body: &str) -> Request<Bytes> {
    Request::post("/functions/v1/behest-token")
        .header("origin", PAGE)
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// The status and the code of a refusal, whose shape is checked.
#[track_caller]
pub(crate) fn refusal(response: &Response<Bytes>) -> (u16, String) {
    let body = body(response);
    let error = body["error"].as_object().expect("a refusal has an error object");
    assert!(!error["message"].as_str().unwrap().is_empty() && error["hint"].as_str().unwrap().ends_with('.'));
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status().as_u16(), error["code"].as_str().unwrap().to_owned())
}

#[track_caller]
pub(crate) fn assert_refused(response: &Response<Bytes>, status: u16, code: &str) {
    assert_eq!(refusal(response), (status, code.to_owned()), "{:?}", response.body());
}
