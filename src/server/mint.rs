//! Gets the gateway token: from Behest with an API key, or signed here with the tenant's own key.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, Response};
use serde::Serialize;
use url::Url;

use super::clock::Clock;
use super::http::{HttpClient, Limits};
use super::platform::crypto::{SigningKey, random_uuid};
use crate::wire::{ErrorBody, TokenBundle, TokenReply};
use crate::{Error, Reason, Secret};

/// What Behest accepts as a token's life.
pub(super) const TTL_RANGE: std::ops::RangeInclusive<u64> = 60..=86_400;

const LIMITS: Limits = Limits::new(Duration::from_secs(10), 64 * 1024);

/// How tokens are made.
#[derive(Debug)]
pub(super) enum Mode {
    /// Behest mints, called at this URL with this key.
    Http { url: Url, key: Secret },
    /// Signed here, RS256.
    Sign(Box<Signer>),
}

/// What local signing needs beside the key.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) key: SigningKey,
    pub(super) kid: String,
    pub(super) tenant: String,
    pub(super) project: String,
    pub(super) issuer: String,
    pub(super) audience: String,
}

/// For whom and how long. All of it decided by this server, `session` excepted.
#[derive(Clone, Debug)]
pub(super) struct Order<'a> {
    pub(super) user: &'a str,
    pub(super) tier: Option<u32>,
    pub(super) ttl: Duration,
    pub(super) session: Option<String>,
}

/// Makes gateway tokens.
pub(super) struct Minter {
    pub(super) mode: Mode,
    pub(super) http: Arc<dyn HttpClient>,
    pub(super) clock: Clock,
}

impl Minter {
    pub(super) async fn mint(&self, order: Order<'_>) -> Result<TokenBundle, Error> {
        let ttl = order.ttl.as_secs();
        if !TTL_RANGE.contains(&ttl) {
            tracing::error!(ttl, "the policy granted a lifetime outside 60..=86400 seconds");
            return Err(Error::new(Reason::Misconfigured, "the lifetime of the token is out of range"));
        }
        let session = match order.session.clone() {
            Some(session) => session,
            None => random_uuid().ok_or_else(no_randomness)?,
        };
        match &self.mode {
            Mode::Http { url, key } => self.request(url, key, &order, ttl, session).await,
            Mode::Sign(signer) => signer.sign(&order, ttl, session, self.clock.now().as_secs()).await,
        }
    }

    async fn request(
        &self,
        url: &Url,
        key: &Secret,
        order: &Order<'_>,
        ttl: u64,
        session: String,
    ) -> Result<TokenBundle, Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            user_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            tier: Option<u32>,
            ttl: u64,
            session_id: &'a str,
        }
        let body = Body { user_id: order.user, tier: order.tier, ttl, session_id: &session };
        let request = serde_json::to_vec(&body).ok().and_then(|body| {
            Request::post(url.as_str())
                .header(http::header::AUTHORIZATION, key.bearer()?)
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT, "application/json")
                .body(Bytes::from(body))
                .ok()
        });
        let request = request.ok_or_else(|| Error::new(Reason::Internal, "the mint request cannot be built"))?;
        let response = self.http.send(request, LIMITS).await.map_err(|error| {
            tracing::error!(%error, "Behest could not be reached to mint");
            Error::new(Reason::MintUnavailable, "Behest could not be reached to mint a token")
        })?;
        if !response.status().is_success() {
            return Err(self.refused(&response, key));
        }
        let reply = TokenReply::parse(response.body()).and_then(|reply| match reply.ttl.as_secs() {
            0 => Err(Error::new(Reason::InvalidBundle, "the token lives less than a second")),
            ttl => Ok((reply, ttl)),
        });
        let (reply, ttl) = reply.map_err(|error| {
            tracing::error!(why = error.message(), "Behest's mint reply is not usable: check BEHEST_BASE_URL");
            Error::new(Reason::MintRefused, "Behest's reply to the mint request is not usable")
        })?;
        Ok(TokenBundle {
            token: reply.token,
            ttl,
            session_id: reply.session_id.unwrap_or(session),
            expires_at: self.clock.now().as_secs() + ttl,
        })
    }

    /// What a refusal by Behest means to the caller. Behest's own words go to the log only.
    fn refused(&self, response: &Response<Bytes>, key: &Secret) -> Error {
        let status = response.status().as_u16();
        let body = ErrorBody::parse(response.body()).into_error("Behest", status);
        let words = body.message().replace(key.expose(), "…");
        tracing::error!(status, code = body.code(), words, "Behest did not mint");
        let (reason, message) = match body.reason() {
            Reason::QuotaExceeded => (Reason::QuotaExceeded, "the user's allowance is spent"),
            Reason::RateLimited => (Reason::RateLimited, "Behest mints no more tokens just now"),
            Reason::Forbidden => (Reason::Forbidden, "Behest does not serve this project or user"),
            Reason::ServerError | Reason::Timeout | Reason::Conflict => {
                (Reason::MintUnavailable, "Behest could not mint a token just now")
            }
            _ => (Reason::MintRefused, "Behest refused to mint a token"),
        };
        let wait = retry_after(response.headers(), self.clock.now()).or(body.retry_after());
        Error::new(reason, message).with_retry_after(wait)
    }
}

/// The claims of a token signed here, in the order in which Behest's own SDKs write them.
#[derive(Serialize)]
struct Claims<'a> {
    tid: &'a str,
    pid: &'a str,
    uid: &'a str,
    role: &'static str,
    scp: [&'static str; 0],
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<u32>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

impl Signer {
    async fn sign(&self, order: &Order<'_>, ttl: u64, session: String, now: u64) -> Result<TokenBundle, Error> {
        let claims = Claims {
            tid: &self.tenant,
            pid: &self.project,
            uid: order.user,
            role: "user",
            scp: [],
            iss: &self.issuer,
            aud: &self.audience,
            iat: now,
            nbf: now,
            exp: now + ttl,
            jti: random_uuid().ok_or_else(no_randomness)?,
            sid: &session,
            tier: order.tier,
        };
        let token =
            self.encode(&claims).await.ok_or_else(|| Error::new(Reason::Internal, "the token could not be signed"))?;
        Ok(TokenBundle { token: Secret::new(token), ttl, expires_at: claims.exp, session_id: session })
    }

    async fn encode(&self, claims: &Claims<'_>) -> Option<String> {
        let header = serde_json::to_vec(&Header { alg: "RS256", typ: "JWT", kid: &self.kid }).ok()?;
        let claims = serde_json::to_vec(claims).ok()?;
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign_rs256(token.as_bytes()).await?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }
}

fn no_randomness() -> Error {
    Error::new(Reason::Internal, "the system gives no random numbers")
}

/// Reads `Retry-After`: seconds, decimals included, or an HTTP date.
fn retry_after(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::UNIX_EPOCH).ok()?.saturating_sub(now))
}
