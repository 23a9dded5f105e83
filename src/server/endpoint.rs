//! The token endpoint: a guard, a policy and a mint.

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::body::too_large;
use super::fields::{fields, optional_text};
use super::guard::{Guard, Purpose};
use super::mint::Minter;
use super::mode::Mode;
use super::plan::ProfilePlan;
use super::platform::crypto::random_uuid;
use super::platform::log::{self, log};
use super::platform::within;
use super::policy::Policy;
use super::respond;
use super::settings::{Reader, Settings};
use crate::wire::is_id;
use crate::{Error, Reason};

/// How long a policy may take.
const POLICY_DEADLINE: Duration = Duration::from_secs(10);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The largest request body that is read, in bytes.
pub const MAX_BODY: usize = 16 * 1024;

/// The token function: `POST` with the user's Supabase session, answered with a gateway token. Cheap to clone.
///
/// It is a [`tower::Service`] and cannot fail: every refusal is a response
/// `{"error": {"code", "message", "hint"}}` whose code is a [`Reason`].
#[derive(Clone)]
pub struct TokenEndpoint(Arc<Inner>);

struct Inner {
    guard: Guard,
    policy: Arc<dyn Policy>,
    minter: Minter,
}

impl TokenEndpoint {
    /// The endpoint with these settings.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`]; the message names every setting that is missing or malformed.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let purpose = Purpose {
            modes: vec![Mode::User],
            http: settings.http_client()?,
            clock: settings.clock.clone(),
            methods: "POST",
            realm: "behest-token",
            allow_anonymous: false,
        };
        settings.read(|reader| Self::read(reader, purpose, settings.policy.clone()))
    }

    fn read(reader: &mut Reader<'_>, purpose: Purpose, policy: Option<Arc<dyn Policy>>) -> Option<Self> {
        if reader.list("CORS_ORIGIN").is_none() {
            reader.problem("CORS_ORIGIN is not set".into());
        }
        if reader.text("CORS").is_some() {
            reader.problem("CORS is for guards: who may call the token endpoint is listed in CORS_ORIGIN".into());
        }
        let minter = Minter::read(reader, Arc::clone(&purpose.http), purpose.clock.clone());
        let with_secret_key = reader.flag("PLAN_WITH_SECRET_KEY").unwrap_or(false);
        if with_secret_key && reader.text("SUPABASE_SECRET_KEYS").or(reader.text("SUPABASE_SECRET_KEY")).is_none() {
            reader.problem("SUPABASE_SECRET_KEYS is not set, and PLAN_WITH_SECRET_KEY needs it".into());
        }
        let guard = Guard::read(reader, purpose)?;
        let plan = || Arc::new(ProfilePlan { project: guard.project().clone(), with_secret_key });
        let policy = policy.unwrap_or_else(|| plan());
        Some(Self(Arc::new(Inner { guard, policy, minter: minter? })))
    }

    /// The endpoint as the process environment sets it up: see [`Settings`] for the variables.
    ///
    /// # Errors
    /// As [`TokenEndpoint::new`].
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Settings::from_env())
    }

    /// Answers one request. The path does not matter.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let headers = request.headers().clone();
        self.finish(&headers, self.answer(request)).await
    }

    /// Refuses a request whose body an adapter could not read, as [`handle`](Self::handle) would refuse it.
    pub async fn refuse(&self, headers: &HeaderMap, error: Error) -> Response<Bytes> {
        self.finish(headers, std::future::ready(Err(error))).await
    }

    /// What every answer has: an id that the log has too, and the CORS headers. A panic (the policy is the app's own
    /// code) becomes an answer as well, so that the page sees an error and not a CORS failure.
    async fn finish(
        &self,
        headers: &HeaderMap,
        answer: impl Future<Output = Result<Response<Bytes>, Error>>,
    ) -> Response<Bytes> {
        let id = random_uuid().unwrap_or_default();
        let guard = &self.0.guard;
        let answered = async {
            let answered = AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
                log!(error, "the endpoint or its policy panicked");
                Err(Error::new(Reason::Internal, "the endpoint failed"))
            });
            answered.unwrap_or_else(|error| guard.refuse(headers, &error))
        };
        let mut response = log::of_request(&id, answered).await;
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let Inner { guard, policy, minter } = &*self.0;
        let headers = request.headers();
        if request.method() == Method::OPTIONS {
            return Ok(guard.answer_options(headers));
        }
        guard.check_origin(headers)?;
        if request.method() != Method::POST {
            return Err(Error::new(Reason::MethodNotAllowed, "only POST is served here"));
        }
        let caller = guard.authenticate(headers).await?;
        let user = caller.user().ok_or_else(|| Error::new(Reason::Internal, "nobody is signed in"))?;
        check_reserved(user.id())?;
        let session = session_id(request.body())?;
        let late = || Err(Error::new(Reason::PlanUnavailable, "the policy did not decide in time"));
        let decided = within(POLICY_DEADLINE, policy.decide(user.clone())).await;
        let grant = decided.unwrap_or_else(late).map_err(policy_refusal)?;
        let bundle = minter.mint(user.id(), grant, session).await?;
        let (tier, session) = (grant.tier.map(u64::from), bundle.session_id.as_str());
        log!(success, "minted", user = user.id(), session = session, tier = tier, ttl = bundle.ttl);
        let mut response = respond::bundle(&bundle);
        guard.permit(headers, response.headers_mut());
        Ok(response)
    }
}

/// Refuses the user ids that Behest keeps for itself.
fn check_reserved(id: &str) -> Result<(), Error> {
    let id = id.to_ascii_lowercase();
    if id == "admin" || id == "dashboard-service" || id.starts_with("sys") {
        return Err(Error::new(Reason::InvalidClaims, "the claim sub is an id that Behest reserves"));
    }
    Ok(())
}

/// What a policy may tell a caller. Any other error is a failure of the app's own, whose words are for the log.
fn policy_refusal(error: Error) -> Error {
    match error.reason() {
        Reason::Forbidden
        | Reason::QuotaExceeded
        | Reason::RateLimited
        | Reason::PlanUnavailable
        | Reason::Misconfigured => error,
        reason => {
            log!(error, "the policy failed", reason = reason.as_str(), why = error.message());
            Error::new(Reason::ServerError, "the endpoint failed")
        }
    }
}

/// The session id a request asks for. An empty body asks for none; fields other than `session_id` are not read.
fn session_id(body: &Bytes) -> Result<Option<String>, Error> {
    if body.len() > MAX_BODY {
        return Err(too_large(MAX_BODY));
    }
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(None);
    }
    let session = fields(body, ["session_id"])
        .and_then(|[session]| optional_text(session))
        .ok_or_else(|| Error::new(Reason::InvalidRequest, "the request body is not the JSON {\"session_id\": text}"))?;
    match session {
        Some(id) if !is_id(&id) => {
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
        f.debug_struct("TokenEndpoint").field("guard", &self.0.guard).finish_non_exhaustive()
    }
}
