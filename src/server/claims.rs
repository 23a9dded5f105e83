//! What a verified token must say before it stands for a user.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;

use super::http::{is_local_stack, join};
use super::settings::Reader;
use super::user::{Inner, User};
use crate::wire::is_id;
use crate::{Error, Reason, Secret};

/// The issuers of the Supabase CLI's local stack.
const LOCAL_STACK_ISSUERS: [&str; 2] = ["http://127.0.0.1:54321/auth/v1", "http://localhost:54321/auth/v1"];
/// More would accept sessions that ended long ago.
const LARGEST_LEEWAY: u64 = 3600;

/// What is demanded of the claims.
#[derive(Clone, Debug)]
pub(super) struct ClaimRules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    roles: Vec<String>,
    allow_anonymous: bool,
    leeway: Duration,
}

/// Values, not types: a wrong type must be told apart from an absent claim, and a claim given twice is refused.
#[derive(Deserialize)]
struct Registered {
    #[serde(default, deserialize_with = "present")]
    iss: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    role: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    is_anonymous: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn invalid(message: &'static str) -> Error {
    Error::new(Reason::InvalidClaims, message)
}

fn text<'a>(claim: &'a Option<Value>, message: &'static str) -> Result<&'a str, Error> {
    claim.as_ref().and_then(Value::as_str).ok_or_else(|| invalid(message))
}

fn time(claim: &Option<Value>, message: &'static str) -> Result<Option<f64>, Error> {
    claim.as_ref().map(|value| value.as_f64().filter(|time| *time >= 0.0).ok_or_else(|| invalid(message))).transpose()
}

impl ClaimRules {
    /// The rules for sessions of the project at `url`. `allow_anonymous` is for when no setting says it.
    pub(super) fn read(reader: &mut Reader<'_>, url: Option<&Url>, allow_anonymous: bool) -> Self {
        let public_url = reader.url("SUPABASE_PUBLIC_URL");
        let issuer = |base: &Url| join(base, "/auth/v1").to_string();
        // Its Auth calls itself what pages call it.
        let local: &[&str] = if url.is_some_and(is_local_stack) { &LOCAL_STACK_ISSUERS } else { &[] };
        let usual = || vec!["authenticated".to_owned()];
        Self {
            issuers: reader.list("SESSION_ISSUERS").unwrap_or_else(|| {
                let own = [url, public_url.as_ref()].into_iter().flatten().map(issuer);
                own.chain(local.iter().map(|issuer| (*issuer).to_owned())).collect()
            }),
            audiences: reader.list("SESSION_AUDIENCES").unwrap_or_else(usual),
            roles: reader.list("SESSION_ROLES").unwrap_or_else(usual),
            allow_anonymous: reader.flag("ALLOW_ANONYMOUS").unwrap_or(allow_anonymous),
            leeway: Duration::from_secs(reader.seconds("SESSION_LEEWAY_SECS", 0..=LARGEST_LEEWAY).unwrap_or(30)),
        }
    }

    /// Checks the claims of a token whose signature is verified.
    pub(super) fn check(&self, payload: &[u8], now: Duration, token: Secret) -> Result<User, Error> {
        let not_claims = |_| invalid("the token's claims are not a JSON object, or one is given twice");
        let claims: Map<String, Value> = serde_json::from_slice(payload).map_err(not_claims)?;
        let registered: Registered = serde_json::from_slice(payload).map_err(not_claims)?;
        self.check_times(&registered, now.as_secs_f64())?;

        let issuer = text(&registered.iss, "the claim iss is missing or not a text")?;
        if !self.issuers.iter().any(|accepted| accepted == issuer) {
            return Err(Error::new(Reason::WrongIssuer, "the token's issuer is not this project"));
        }
        self.check_audience(registered.aud.as_ref())?;

        let id = text(&registered.sub, "the claim sub is missing or not a text")?;
        if !is_id(id) {
            return Err(invalid("the claim sub is not an id of 1 to 255 plain characters"));
        }

        let role = text(&registered.role, "the claim role is missing or not a text")?;
        if !self.roles.iter().any(|accepted| accepted == role) {
            return Err(Error::new(Reason::RoleRefused, "the token's role is not that of a signed-in user"));
        }
        let anonymous = match &registered.is_anonymous {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| invalid("the claim is_anonymous is not true or false"))?,
        };
        if anonymous && !self.allow_anonymous {
            return Err(Error::new(Reason::AnonymousRefused, "the user is signed in anonymously"));
        }
        Ok(User(Arc::new(Inner { id: id.to_owned(), role: role.to_owned(), anonymous, claims, token })))
    }

    fn check_times(&self, registered: &Registered, now: f64) -> Result<(), Error> {
        let leeway = self.leeway.as_secs_f64();
        let expiry = time(&registered.exp, "the claim exp is not a time in seconds")?
            .ok_or_else(|| invalid("the claim exp is missing"))?;
        let start = time(&registered.nbf, "the claim nbf is not a time in seconds")?;
        time(&registered.iat, "the claim iat is not a time in seconds")?;
        if now >= expiry + leeway {
            let ago = now - expiry;
            return Err(Error::new(Reason::TokenExpired, format!("the access token expired {ago:.0} s ago")));
        }
        match start {
            Some(start) if start > now + leeway => {
                let wait = Duration::try_from_secs_f64((start - now - leeway).ceil()).ok();
                let message = format!("the token is not valid for another {:.0} s", start - now);
                Err(Error::new(Reason::TokenNotYetValid, message).with_retry_after(wait))
            }
            _ => Ok(()),
        }
    }

    fn check_audience(&self, audience: Option<&Value>) -> Result<(), Error> {
        let shape = || invalid("the claim aud is missing or not a text or list of texts");
        let named = match audience.ok_or_else(shape)? {
            Value::String(one) => vec![one.as_str()],
            Value::Array(many) => many.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(shape)?,
            _ => return Err(shape()),
        };
        if named.iter().any(|name| self.audiences.iter().any(|accepted| accepted == name)) {
            return Ok(());
        }
        Err(Error::new(Reason::WrongAudience, "the token is not meant for this project's signed-in users"))
    }
}
