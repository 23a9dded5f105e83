//! What a verified token must say before it stands for a user.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::wire::is_header_safe;
use crate::{Error, Reason, Secret};

/// User ids that Behest keeps for itself; also every id that begins with `sys`.
const RESERVED_IDS: [&str; 2] = ["admin", "dashboard-service"];

/// A signed-in user: the verified claims of a Supabase session. Cheap to clone.
#[derive(Clone)]
pub struct User(Arc<Inner>);

struct Inner {
    id: String,
    role: String,
    anonymous: bool,
    claims: Map<String, Value>,
    token: Secret,
}

impl User {
    /// The user's id: the claim `sub`, a UUID with Supabase Auth.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The claim `role`: `authenticated` unless the endpoint accepts others.
    pub fn role(&self) -> &str {
        &self.0.role
    }

    /// Did the user sign in without an account?
    pub fn is_anonymous(&self) -> bool {
        self.0.anonymous
    }

    /// All claims, as signed. What users can write themselves, such as `user_metadata`, must decide nothing.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    /// The access token itself, to read the user's own rows under row level security.
    pub fn access_token(&self) -> &Secret {
        &self.0.token
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.0.id).field("role", &self.0.role).finish_non_exhaustive()
    }
}

/// What is demanded of the claims.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuers: Vec<String>,
    pub(super) audiences: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) allow_anonymous: bool,
    pub(super) leeway: Duration,
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

impl Rules {
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
        if id.len() > 255 || !is_header_safe(id) {
            return Err(invalid("the claim sub is not an id of 1 to 255 plain characters"));
        }
        let lower = id.to_ascii_lowercase();
        if RESERVED_IDS.contains(&lower.as_str()) || lower.starts_with("sys") {
            return Err(invalid("the claim sub is an id that Behest reserves"));
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
