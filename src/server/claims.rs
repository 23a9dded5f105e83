//! What a verified token must say before it stands for a user.

use std::time::Duration;

use super::address::Address;
use super::fields::{fields, texts};
use super::settings::Reader;
use super::user::User;
use crate::json::Json;
use crate::text::digits;
use crate::wire::{duration, is_id};
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

/// The claims that are looked at. One of them given twice is refused, and null is a wrong type, not absence.
struct Registered<'a> {
    iss: Option<Json<'a>>,
    aud: Option<Json<'a>>,
    sub: Option<Json<'a>>,
    exp: Option<Json<'a>>,
    nbf: Option<Json<'a>>,
    iat: Option<Json<'a>>,
    role: Option<Json<'a>>,
    is_anonymous: Option<Json<'a>>,
}

impl<'a> Registered<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let names = ["iss", "aud", "sub", "exp", "nbf", "iat", "role", "is_anonymous"];
        let [iss, aud, sub, exp, nbf, iat, role, is_anonymous] = fields(payload, names)?;
        Some(Self { iss, aud, sub, exp, nbf, iat, role, is_anonymous })
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(Reason::InvalidClaims, message)
}

fn text(claim: Option<Json<'_>>, message: &'static str) -> Result<String, Error> {
    claim.and_then(Json::text).ok_or_else(|| invalid(message))
}

fn time(claim: Option<Json<'_>>, message: &'static str) -> Result<Option<f64>, Error> {
    let usable = |time: &f64| *time >= 0.0 && time.is_finite();
    claim.map(|value| value.number().filter(usable).ok_or_else(|| invalid(message))).transpose()
}

impl ClaimRules {
    /// The rules for sessions of the project at `url`. `allow_anonymous` is for when no setting says it.
    pub(super) fn read(reader: &mut Reader<'_>, url: Option<&Address>, allow_anonymous: bool) -> Self {
        let public_url = reader.url("SUPABASE_PUBLIC_URL");
        let issuer = |base: &Address| base.join("/auth/v1").as_str().to_owned();
        // Its Auth calls itself what pages call it.
        let local: &[&str] = if url.is_some_and(Address::is_local_stack) { &LOCAL_STACK_ISSUERS } else { &[] };
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
    pub(super) fn check(&self, payload: Vec<u8>, now: Duration, token: Secret) -> Result<User, Error> {
        let claims = Registered::read(&payload)
            .ok_or_else(|| invalid("the token's claims are not a JSON object, or one is given twice"))?;
        self.check_times(&claims, now.as_secs_f64())?;

        let issuer = text(claims.iss, "the claim iss is missing or not a text")?;
        if !self.issuers.contains(&issuer) {
            return Err(Error::new(Reason::WrongIssuer, "the token's issuer is not this project"));
        }
        self.check_audience(claims.aud)?;

        let id = text(claims.sub, "the claim sub is missing or not a text")?;
        if !is_id(&id) {
            return Err(invalid("the claim sub is not an id of 1 to 255 plain characters"));
        }

        let role = text(claims.role, "the claim role is missing or not a text")?;
        if !self.roles.contains(&role) {
            return Err(Error::new(Reason::RoleRefused, "the token's role is not that of a signed-in user"));
        }
        let anonymous = match claims.is_anonymous.map(Json::raw) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("the claim is_anonymous is not true or false")),
        };
        if anonymous && !self.allow_anonymous {
            return Err(Error::new(Reason::AnonymousRefused, "the user is signed in anonymously"));
        }
        Ok(User::new(id, role, anonymous, payload, token))
    }

    fn check_times(&self, claims: &Registered<'_>, now: f64) -> Result<(), Error> {
        let leeway = self.leeway.as_secs_f64();
        let expiry = time(claims.exp, "the claim exp is not a time in seconds")?
            .ok_or_else(|| invalid("the claim exp is missing"))?;
        let start = time(claims.nbf, "the claim nbf is not a time in seconds")?;
        time(claims.iat, "the claim iat is not a time in seconds")?;
        if now >= expiry + leeway {
            let ago = digits((now - expiry) as u64);
            return Err(Error::new(Reason::TokenExpired, ["the access token expired ", &ago, " s ago"].concat()));
        }
        match start {
            Some(start) if start > now + leeway => {
                let wait = duration((start - now - leeway).ceil());
                let rest = digits((start - now) as u64);
                let message = ["the token is not valid for another ", &rest, " s"].concat();
                Err(Error::new(Reason::TokenNotYetValid, message).with_retry_after(Some(wait)))
            }
            _ => Ok(()),
        }
    }

    fn check_audience(&self, audience: Option<Json<'_>>) -> Result<(), Error> {
        let named =
            audience.and_then(|audience| audience.text().map(|one| vec![one]).or_else(|| texts(audience.raw())));
        let named = named.ok_or_else(|| invalid("the claim aud is missing or not a text or list of texts"))?;
        if named.iter().any(|name| self.audiences.contains(name)) {
            return Ok(());
        }
        Err(Error::new(Reason::WrongAudience, "the token is not meant for this project's signed-in users"))
    }
}
