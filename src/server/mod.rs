//! The companion server module: verifies who is signed in and mints the gateway token.
//!
//! ```no_run
//! # async fn example(request: http::Request<bytes::Bytes>) -> Result<(), behest_client::Error> {
//! use behest_client::server::TokenEndpoint;
//!
//! let endpoint = TokenEndpoint::from_env()?; // or TokenEndpoint::new(Config::from_lookup(…)?)
//! let response = endpoint.handle(request).await;
//! # Ok(()) }
//! ```
//!
//! User id, role and tier come from the verified session and the [`Policy`] alone. The one thing a request may choose is
//! its session id. Behest keeps sessions under user *and* session id, so somebody who sends another user's
//! session id gets a session of his own with the same name: he neither reads nor spends anything of the other's.

#[cfg(all(target_arch = "wasm32", not(feature = "edge")))]
compile_error!("on wasm32 the feature `server` needs the feature `edge`");

pub mod auth;
#[cfg(feature = "axum")]
pub mod axum;
mod claims;
mod clock;
mod cors;
mod credentials;
#[cfg(target_arch = "wasm32")]
mod edge;
mod env;
mod http;
mod jwk;
mod jwks;
mod key;
mod mint;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(any(target_arch = "wasm32", test))]
mod pkcs8;
mod policy;
mod respond;
mod standing;
mod verify;
pub mod webhook;

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::Instrument as _;

pub use self::claims::User;
pub use self::clock::Clock;
pub use self::env::Config;
pub use self::http::{HttpClient, HttpError, Limits};
pub use self::policy::{Grant, Policy};

#[cfg(target_arch = "wasm32")]
use self::edge as platform;
#[cfg(target_arch = "wasm32")]
pub use self::edge::FetchClient;
#[cfg(not(target_arch = "wasm32"))]
use self::native as platform;
#[cfg(not(target_arch = "wasm32"))]
pub use self::native::NativeClient;

use self::cors::{Caller, Cors};
use self::jwks::Jwks;
use self::mint::{Minter, Order};
use self::policy::{Identity, ProfilePlan};
use self::standing::Standing;
use self::verify::Verifier;
use crate::wire::{TokenRequest, is_header_safe};
use crate::{Error, Reason};

/// The largest request body that is read, in bytes.
pub const MAX_BODY: usize = 16 * 1024;

/// The longest session id that is accepted, in bytes.
const LONGEST_SESSION_ID: usize = 255;

/// The token function: `POST` with the user's Supabase session, answered with a gateway token. Cheap to clone.
///
/// It is a [`tower::Service`] and cannot fail: every refusal is a response
/// `{"error": {"code", "message", "hint"}}` whose code is a [`Reason`].
#[derive(Clone)]
pub struct TokenEndpoint(Arc<Inner>);

struct Inner {
    verifier: Verifier,
    policy: Arc<dyn Policy>,
    minter: Minter,
    cors: Cors,
    ttl: Duration,
}

impl TokenEndpoint {
    /// The endpoint with these settings.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] if the TLS library cannot be set up.
    pub fn new(config: Config) -> Result<Self, Error> {
        let http: Arc<dyn HttpClient> = match config.http {
            Some(http) => http,
            None => platform::http_client()?,
        };
        let published = config.jwks_url.map(|url| Jwks::new(url, Arc::clone(&http), config.clock.clone()));
        let standing = config.check_session.then(|| (config.supabase_url.clone(), config.publishable_key.clone()));
        let policy = config.policy.unwrap_or_else(|| {
            let http = Arc::clone(&http);
            let identity = match config.plan_key {
                Some(key) => Identity::Server(key),
                None => Identity::User(config.publishable_key),
            };
            Arc::new(ProfilePlan { supabase_url: config.supabase_url, identity, http })
        });
        let clock = config.clock;
        let standing = standing.map(|(url, key)| Standing::new(&url, key, Arc::clone(&http)));
        Ok(Self(Arc::new(Inner {
            verifier: Verifier { own: config.own_keys, published, rules: config.rules, clock: clock.clone(), standing },
            policy,
            minter: Minter { mode: config.mode, http, clock },
            cors: config.cors,
            ttl: config.ttl,
        })))
    }

    /// The endpoint as the process environment sets it up: see [`Config`] for the variables.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`]; the message names every variable that is missing or malformed.
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Config::from_env()?)
    }

    /// Answers one request. The path does not matter.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let caller = self.0.cors.judge(request.headers());
        self.finish(caller.clone(), self.answer(&caller, request)).await
    }

    /// Refuses a request whose body an adapter could not read, as [`handle`](Self::handle) would refuse it.
    pub async fn refuse(&self, headers: &HeaderMap, error: Error) -> Response<Bytes> {
        self.finish(self.0.cors.judge(headers), std::future::ready(Err(error))).await
    }

    /// What every answer has: an id that the log has too, and the CORS headers. A panic (the policy is the app's own
    /// code) becomes an answer as well, so that the page sees an error and not a CORS failure.
    async fn finish(
        &self,
        caller: Caller,
        answer: impl Future<Output = Result<Response<Bytes>, Error>>,
    ) -> Response<Bytes> {
        let id = platform::crypto::random_uuid().unwrap_or_default();
        let span = tracing::info_span!("behest_token", request_id = %id);
        let answered = AssertUnwindSafe(answer).catch_unwind().instrument(span.clone()).await;
        let _entered = span.entered();
        let answered = answered.unwrap_or_else(|_| {
            tracing::error!("the endpoint or its policy panicked");
            Err(Error::new(Reason::Internal, "the endpoint failed"))
        });
        let mut response = answered.unwrap_or_else(|error| {
            tracing::info!(reason = error.reason().as_str(), message = error.message(), "refused");
            respond::refusal(&error)
        });
        caller.permit(response.headers_mut());
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert("x-request-id", id);
        }
        response
    }

    async fn answer(&self, caller: &Caller, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        if request.method() == Method::OPTIONS {
            let mut response = respond::empty(StatusCode::NO_CONTENT);
            caller.permit_request(response.headers_mut());
            return Ok(response);
        }
        if let Caller::Refused = caller {
            return Err(Error::new(Reason::OriginRefused, "the page's origin is not on the list"));
        }
        if request.method() != Method::POST {
            return Err(Error::new(Reason::MethodNotAllowed, "only POST is served here"));
        }
        let inner = &self.0;
        let user = inner.verifier.verify(credentials::bearer(request.headers())?).await?;
        let session = session_id(request.body())?;
        let grant = inner.policy.decide(user.clone()).await?;
        let ttl = grant.ttl.unwrap_or(inner.ttl);
        let bundle = inner.minter.mint(Order { user: user.id(), tier: grant.tier, ttl, session }).await?;
        tracing::info!(user = user.id(), session = bundle.session_id, tier = grant.tier, ttl = bundle.ttl, "minted");
        Ok(respond::json(StatusCode::OK, &bundle))
    }
}

/// The session id a request asks for. An empty body asks for none; fields other than `session_id` are not read.
fn session_id(body: &Bytes) -> Result<Option<String>, Error> {
    if body.len() > MAX_BODY {
        return Err(Error::new(Reason::PayloadTooLarge, "the request body is larger than 16 KiB"));
    }
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(None);
    }
    // serde would take an array for the object, too.
    let request: TokenRequest = Some(body)
        .filter(|body| body.starts_with(b"{"))
        .and_then(|body| serde_json::from_slice(body).ok())
        .ok_or_else(|| Error::new(Reason::InvalidRequest, "the request body is not the JSON {\"session_id\": text}"))?;
    match request.session_id {
        Some(id) if id.len() > LONGEST_SESSION_ID || !is_header_safe(&id) => {
            Err(Error::new(Reason::InvalidRequest, "session_id must have 1 to 255 visible ASCII characters"))
        }
        id => Ok(id),
    }
}

impl tower::Service<Request<Bytes>> for TokenEndpoint {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move { Ok(endpoint.handle(request).await) })
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint").field("cors", &self.0.cors).field("ttl", &self.0.ttl).finish_non_exhaustive()
    }
}
