//! From a bearer token to a signed-in user, or the one reason why not.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::algorithm::Algorithm;
use super::claims::ClaimRules;
use super::clock::Clock;
use super::http::{HttpClient, join};
use super::jwk::{KeySet, Miss, SHORTEST_SECRET, Source};
use super::jwks::{Jwks, LookupError};
use super::platform::crypto::VerifyingKey;
use super::settings::Reader;
use super::user::User;
use crate::credential::jwt_parts;
use crate::{Error, Reason, Secret};

/// The part of a token's header that is looked at. `jku`, `jwk`, `x5u` and `x5c` are not: keys come from the settings.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Any value counts, null too.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    /// RFC 7797: the payload is not encoded.
    b64: Option<bool>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Verifies Supabase sessions.
pub(super) struct Verifier {
    /// Keys from the settings: shared secrets, and a set that is given inline.
    own: KeySet,
    /// The published set, which has what the inline one lacks after a rotation.
    published: Option<Arc<Jwks>>,
    rules: ClaimRules,
    clock: Clock,
}

impl Verifier {
    /// A verifier of the sessions of the project at `url`. `allow_anonymous` is for when no setting says it.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        url: Option<&Url>,
        allow_anonymous: bool,
        http: &Arc<dyn HttpClient>,
        clock: &Clock,
    ) -> Self {
        let mut own = KeySet::default();
        let mut address = url.map(|base| join(base, "/auth/v1/.well-known/jwks.json"));
        if let Some(json) = reader.text("SUPABASE_JWKS") {
            let keys = KeySet::parse(json.as_bytes(), Source::Settings)
                .ok_or("must be a JSON Web Key Set: {\"keys\": […]} or its array");
            own = reader.checked("SUPABASE_JWKS", keys).unwrap_or_default();
        }
        if reader.text("SUPABASE_JWKS_URL").is_some() {
            address = reader.url("SUPABASE_JWKS_URL");
        }
        if let Some(secret) = reader.text("SUPABASE_JWT_SECRET") {
            match secret.len() {
                SHORTEST_SECRET.. => own.add_secret(secret.as_bytes()),
                _ => reader.problem(format!("SUPABASE_JWT_SECRET is shorter than {SHORTEST_SECRET} bytes")),
            }
        }
        let rules = ClaimRules::read(reader, url, allow_anonymous);
        let published = address.map(|address| Jwks::shared(address, http, clock));
        Self { own, published, rules, clock: clock.clone() }
    }

    /// The user a token stands for.
    pub(super) async fn verify(&self, token: Secret) -> Result<User, Error> {
        let malformed = |message: &'static str| Error::new(Reason::MalformedToken, message);
        let text = token.expose();
        let [header, payload, signature] = jwt_parts(text).ok_or_else(|| malformed("the token has not three parts"))?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("the token is not base64url"));
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| malformed("the token's header is not the JSON of a JWT header"))?;
        if header.crit || header.b64 == Some(false) {
            return Err(malformed("the token's header demands an extension that is not supported"));
        }
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let algorithm = Algorithm::from_name(&header.alg)
            .ok_or_else(|| Error::new(Reason::UnsupportedAlgorithm, "the token's algorithm is not accepted"))?;
        let kid = header.kid.as_deref().filter(|kid| !kid.is_empty());

        let keys = self.keys(algorithm, kid).await?;
        let signed = &text.as_bytes()[..text.rfind('.').unwrap_or(0)];
        let mut verified = false;
        for key in &keys {
            verified = verified || key.verifies(algorithm, signed, &signature).await;
        }
        if !verified {
            return Err(Error::new(Reason::InvalidSignature, "the token's signature does not verify"));
        }
        self.rules.check(&payload, self.clock.now(), token)
    }

    async fn keys(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<Arc<VerifyingKey>>, Error> {
        let found = match (self.own.pick(algorithm, kid), &self.published) {
            // A shared secret is never published, so the published set need not be asked.
            (Err(Miss::UnknownKid | Miss::NoKid), Some(published)) if algorithm != Algorithm::Hs256 => {
                published.find(algorithm, kid).await
            }
            (picked, _) => picked.map_err(|miss| LookupError::Miss(miss, None)),
        };
        found.map_err(|failure| match failure {
            LookupError::Unavailable(error) => error,
            LookupError::Miss(_, _) if algorithm == Algorithm::Hs256 && self.own.is_empty() => Error::new(
                Reason::UnsupportedAlgorithm,
                "the token is signed with a shared secret (HS256), and this endpoint has none",
            ),
            LookupError::Miss(Miss::WrongAlgorithm, _) => {
                Error::new(Reason::UnsupportedAlgorithm, "the key the token names is for another algorithm")
            }
            LookupError::Miss(Miss::UnknownKid, wait) => {
                Error::new(Reason::UnknownKey, "the project has no key with the token's kid").with_retry_after(wait)
            }
            LookupError::Miss(Miss::Ambiguous, _) => {
                Error::new(Reason::UnknownKey, "the project has several keys with the token's kid")
            }
            LookupError::Miss(Miss::NoKid, _) => {
                Error::new(Reason::MissingKid, "the token names no key, and not exactly one would fit")
            }
        })
    }
}
