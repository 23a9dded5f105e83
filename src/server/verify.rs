//! From a bearer token to a signed-in user, or the one reason why not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::{Rules, User};
use super::clock::Clock;
use super::jwk::{Algorithm, KeySet, Miss};
use super::jwks::{Failure, Jwks};
use super::standing::Standing;
use crate::{Error, Reason, Secret};

/// The part of a token's header that is looked at. `jku`, `jwk`, `x5u` and `x5c` are not: keys come from the settings.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// Verifies Supabase sessions.
pub(super) struct Verifier {
    /// Keys from the settings: shared secrets, and the whole set if it is given inline.
    pub(super) own: KeySet,
    /// The published set, unless the settings replace it.
    pub(super) published: Option<Jwks>,
    pub(super) rules: Rules,
    pub(super) clock: Clock,
    /// Asks whether the session still stands, if the settings want that.
    pub(super) standing: Option<Standing>,
}

impl Verifier {
    /// The user a token stands for.
    pub(super) async fn verify(&self, token: Secret) -> Result<User, Error> {
        let malformed = |message: &'static str| Error::new(Reason::MalformedToken, message);
        let text = token.expose();
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("the token has not three parts"));
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("the token is not base64url"));
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| malformed("the token's header is not the JSON of a JWT header"))?;
        if header.crit.is_some() {
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
        let user = self.rules.check(&payload, self.clock.now(), token)?;
        if let Some(standing) = &self.standing {
            standing.check(&user).await?;
        }
        Ok(user)
    }

    async fn keys(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<Vec<std::sync::Arc<super::platform::crypto::VerifyingKey>>, Error> {
        let found = match &self.published {
            // A shared secret is never published, so the published set need not be asked.
            Some(published) if algorithm != Algorithm::Hs256 => published.find(algorithm, kid).await,
            _ => self.own.pick(algorithm, kid).map_err(|miss| Failure::Miss(miss, None)),
        };
        found.map_err(|failure| match failure {
            Failure::Unavailable(error) => error,
            Failure::Miss(_, _) if algorithm == Algorithm::Hs256 && self.own.is_empty() => Error::new(
                Reason::UnsupportedAlgorithm,
                "the token is signed with a shared secret (HS256), and this endpoint has none",
            ),
            Failure::Miss(Miss::WrongAlgorithm, _) => {
                Error::new(Reason::UnsupportedAlgorithm, "the key the token names is for another algorithm")
            }
            Failure::Miss(Miss::UnknownKid, wait) => {
                Error::new(Reason::UnknownKey, "the project has no key with the token's kid").with_retry_after(wait)
            }
            Failure::Miss(Miss::Ambiguous, _) => {
                Error::new(Reason::UnknownKey, "the project has several keys with the token's kid")
            }
            Failure::Miss(Miss::NoKid, _) => {
                Error::new(Reason::MissingKid, "the token names no key, and not exactly one would fit")
            }
        })
    }
}
