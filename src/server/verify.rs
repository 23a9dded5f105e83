//! From a bearer token to a signed-in user, or the one reason why not.

use std::sync::Arc;

use super::address::Address;
use super::algorithm::Algorithm;
use super::claims::ClaimRules;
use super::clock::Clock;
use super::fields::{fields, optional_text};
use super::http::HttpClient;
use super::jwk::{KeySet, Miss, SHORTEST_SECRET, Source};
use super::jwks::{Jwks, LookupError};
use super::platform::crypto::VerifyingKey;
use super::seen::Seen;
use super::settings::Reader;
use super::user::User;
use crate::base64::decode_url;
use crate::credential::{CredentialKind, jwt_parts};
use crate::json::Json;
use crate::{Error, Reason, Secret};

/// The part of a token's header that is looked at. `jku`, `jwk`, `x5u` and `x5c` are not: keys come from the settings.
struct Header {
    alg: String,
    kid: Option<String>,
    /// It has `crit`, of whatever value, or (RFC 7797) its payload is not encoded.
    extended: bool,
}

impl Header {
    fn read(json: &[u8]) -> Option<Self> {
        let [alg, kid, crit, b64] = fields(json, ["alg", "kid", "crit", "b64"])?;
        let encoded = match b64.and_then(Json::present).map(Json::raw) {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return None,
        };
        Some(Self { alg: alg?.text()?, kid: optional_text(kid)?, extended: crit.is_some() || !encoded })
    }
}

/// Verifies Supabase sessions.
pub(super) struct Verifier {
    /// Keys from the settings: shared secrets, and a set that is given inline.
    own: KeySet,
    /// The published set, which has what the inline one lacks after a rotation.
    published: Option<Arc<Jwks>>,
    rules: ClaimRules,
    seen: Seen,
    clock: Clock,
}

impl Verifier {
    /// A verifier of the sessions of the project at `url`. `allow_anonymous` is for when no setting says it.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        url: Option<&Address>,
        allow_anonymous: bool,
        http: &Arc<dyn HttpClient>,
        clock: &Clock,
    ) -> Self {
        let mut own = KeySet::default();
        let mut address = url.map(|base| base.join("/auth/v1/.well-known/jwks.json"));
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
                // Whoever has such a key, and anybody has the publishable one, would sign sessions with it.
                _ if CredentialKind::of(secret) != CredentialKind::Other => {
                    reader.problem("SUPABASE_JWT_SECRET holds an API key instead of the project's JWT secret".into());
                }
                SHORTEST_SECRET.. => own.add_secret(secret.as_bytes()),
                _ => reader.problem(format!("SUPABASE_JWT_SECRET is shorter than {SHORTEST_SECRET} bytes")),
            }
        }
        let rules = ClaimRules::read(reader, url, allow_anonymous);
        let published = address.map(|address| Jwks::shared(address, http, clock));
        Self { own, published, rules, seen: Seen::default(), clock: clock.clone() }
    }

    /// The user a token stands for.
    pub(super) async fn verify(&self, token: Secret) -> Result<User, Error> {
        let malformed = |message: &'static str| Error::new(Reason::MalformedToken, message);
        let text = token.expose();
        let [header, payload, signature] = jwt_parts(text).ok_or_else(|| malformed("the token has not three parts"))?;
        let decode = |part: &str| decode_url(part).ok_or_else(|| malformed("the token is not base64url"));
        let header = Header::read(&decode(header)?)
            .ok_or_else(|| malformed("the token's header is not the JSON of a JWT header"))?;
        if header.extended {
            return Err(malformed("the token's header demands an extension that is not supported"));
        }
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let algorithm = Algorithm::from_name(&header.alg)
            .ok_or_else(|| Error::new(Reason::UnsupportedAlgorithm, "the token's algorithm is not accepted"))?;
        let kid = header.kid.as_deref().filter(|kid| !kid.is_empty());

        let keys = self.keys(algorithm, kid).await?;
        if !self.seen.has(text, &keys) {
            let signed = &text.as_bytes()[..text.rfind('.').unwrap_or(0)];
            let mut verified_by = None;
            for key in &keys {
                if verified_by.is_none() && key.verifies(algorithm, signed, &signature).await {
                    verified_by = Some(key);
                }
            }
            let refused = || Error::new(Reason::InvalidSignature, "the token's signature does not verify");
            self.seen.keep(&token, verified_by.ok_or_else(refused)?);
        }
        self.rules.check(payload, self.clock.now(), token)
    }

    async fn keys(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<Arc<VerifyingKey>>, Error> {
        let found = match (self.own.pick(algorithm, kid), &self.published) {
            // A shared secret is never published, so the published set need not be asked.
            (Err(Miss::UnknownKid | Miss::LeftOut(_) | Miss::NoKid), Some(published))
                if algorithm != Algorithm::Hs256 =>
            {
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
            LookupError::Miss(Miss::LeftOut(why), _) => {
                Error::new(Reason::UnknownKey, ["the project's key with the token's kid is not used: ", why].concat())
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
