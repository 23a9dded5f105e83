//! Gets the gateway token: from Behest with an API key, or signed here with the tenant's own key.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response};

use super::address::Address;
use super::clock::Clock;
use super::http::{HttpClient, Limits, request, retry_after};
use super::platform::crypto::{SigningKey, random_uuid};
use super::platform::log::log;
use super::policy::Grant;
use super::settings::Reader;
use super::signer::{Signer, Subject, private_key};
use crate::credential::is_api_key;
use crate::object::Object;
use crate::wire::{ErrorBody, TokenBundle, TokenReply};
use crate::{Error, Reason, Secret};

/// What Behest accepts as a token's life, in seconds.
const TTL_RANGE: std::ops::RangeInclusive<u64> = 60..=86_400;
/// A century, in seconds: what claims to live longer was not meant.
const LONGEST_LIFE: u64 = 3_200_000_000;
const DEFAULT_TTL: u64 = 900;
const DEFAULT_MINT_PATH: &str = "/v1/auth/mint";

const LIMITS: Limits = Limits::new(Duration::from_secs(10), 64 * 1024);

/// Makes gateway tokens.
pub(super) struct Minter {
    method: MintMethod,
    /// Life of a token for which the policy grants none of its own.
    ttl: Duration,
    http: Arc<dyn HttpClient>,
    clock: Clock,
}

/// How tokens are made.
enum MintMethod {
    /// Behest mints, called at this address with this key.
    Request { url: Address, key: Secret },
    /// Signed here, RS256.
    Sign(Box<Signer>),
}

/// What Behest is asked for.
struct MintRequest<'a> {
    user: &'a str,
    tier: Option<u32>,
    ttl: u64,
    session: &'a str,
}

impl MintRequest<'_> {
    fn json(&self) -> String {
        let mut body = Object::new().text("user_id", self.user);
        if let Some(tier) = self.tier {
            body = body.number("tier", tier.into());
        }
        body.number("ttl", self.ttl).text("session_id", self.session).finish()
    }
}

impl Minter {
    pub(super) fn read(reader: &mut Reader<'_>, http: Arc<dyn HttpClient>, clock: Clock) -> Option<Self> {
        let method = MintMethod::read(reader);
        let ttl = Duration::from_secs(reader.seconds("BEHEST_TTL", TTL_RANGE).unwrap_or(DEFAULT_TTL));
        Some(Self { method: method?, ttl, http, clock })
    }

    /// A token for this user. All of it is decided by this server, the session id excepted.
    pub(super) async fn mint(&self, user: &str, grant: Grant, session: Option<String>) -> Result<TokenBundle, Error> {
        let ttl = grant.ttl.unwrap_or(self.ttl).as_secs();
        if !TTL_RANGE.contains(&ttl) {
            log!(error, "the policy granted a lifetime outside 60..=86400 seconds", ttl = ttl);
            return Err(Error::new(Reason::Misconfigured, "the lifetime of the token is out of range"));
        }
        let session = session.map_or_else(random_uuid, Ok)?;
        match &self.method {
            MintMethod::Request { url, key } => {
                let asked = MintRequest { user, tier: grant.tier, ttl, session: &session };
                self.request(url, key, &asked).await
            }
            MintMethod::Sign(signer) => {
                let from = self.clock.now().as_secs();
                let subject = Subject { user, session: &session, tier: grant.tier, from, until: from + ttl };
                let token = signer.sign(&subject).await?;
                Ok(TokenBundle { token, ttl, expires_at: subject.until, session_id: session })
            }
        }
    }

    async fn request(&self, url: &Address, key: &Secret, asked: &MintRequest<'_>) -> Result<TokenBundle, Error> {
        let json = HeaderValue::from_static("application/json");
        let bearer = key.bearer().ok_or_else(|| Error::new(Reason::Internal, "the mint request cannot be built"))?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (CONTENT_TYPE, json.clone()), (ACCEPT, json)]);
        let request = request(Method::POST, url.as_str(), headers, Bytes::from(asked.json()))?;
        let response = self.http.send(request, LIMITS).await.map_err(|error| {
            log!(error, "Behest could not be reached to mint", why = error.words());
            Error::new(Reason::MintUnavailable, "Behest could not be reached to mint a token")
        })?;
        if !response.status().is_success() {
            return Err(self.refused(&response, key));
        }
        let reply = TokenReply::parse(response.body()).and_then(|reply| match reply.ttl.as_secs() {
            0 => Err(Error::new(Reason::InvalidBundle, "the token lives less than a second")),
            ttl if ttl > LONGEST_LIFE => {
                Err(Error::new(Reason::InvalidBundle, "the token lives longer than a century"))
            }
            ttl => Ok((reply, ttl)),
        });
        let (reply, ttl) = reply.map_err(|error| {
            log!(error, "Behest's mint reply is not usable: check BEHEST_BASE_URL", why = error.message());
            Error::new(Reason::MintRefused, "Behest's reply to the mint request is not usable")
        })?;
        Ok(TokenBundle {
            token: reply.token,
            ttl,
            session_id: reply.session_id.unwrap_or_else(|| asked.session.to_owned()),
            expires_at: self.clock.now().as_secs() + ttl,
        })
    }

    /// What a refusal by Behest means to the caller. Behest's own words go to the log only.
    fn refused(&self, response: &Response<Bytes>, key: &Secret) -> Error {
        let status = response.status().as_u16();
        let body = ErrorBody::parse(response.body()).into_error("Behest", status);
        let words = body.message().replace(key.expose(), "…");
        log!(error, "Behest did not mint", status = u64::from(status), code = body.code(), words = words.as_str());
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

impl MintMethod {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut name = "BEHEST_KEY";
        if reader.text(name).is_none() && reader.text("BEHEST_API_KEY").is_some() {
            log!(warn, "BEHEST_API_KEY is deprecated: rename it to BEHEST_KEY");
            name = "BEHEST_API_KEY";
        }
        let key = reader.required(name)?;
        if !key.starts_with("behest_sk_") {
            let key = reader.checked(name, signing_key(key))?;
            return Signer::read(reader, key).map(Box::new).map(Self::Sign);
        }
        let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
        reader.checked(name, if plain { Ok(()) } else { Err("holds a character that no key has") })?;
        let base = reader.required_url("BEHEST_BASE_URL")?;
        let path = reader.text("BEHEST_MINT_PATH").unwrap_or(DEFAULT_MINT_PATH);
        let usable = path.starts_with('/') && !path.contains(['?', '#']);
        reader
            .checked("BEHEST_MINT_PATH", if usable { Ok(()) } else { Err("must begin with / and hold no ? or #") })?;
        // The path is the user's own: spelled anew together with the rest.
        let url = base.without_version().join(path).respelled().ok_or("makes no URL");
        Some(Self::Request { url: reader.checked("BEHEST_MINT_PATH", url)?, key: key.into() })
    }
}

fn signing_key(text: &str) -> Result<SigningKey, &'static str> {
    if text.starts_with("bh_") {
        return Err("is a key of the former kind (bh_…): create a behest_sk_… key in the dashboard");
    }
    let text = text.strip_prefix("behest_pk_").unwrap_or(text);
    if is_api_key(text) && !text.starts_with("behest_") {
        return Err("is a key of another service: a Behest key begins with behest_sk_ or behest_pk_");
    }
    private_key(text)
}
