//! Signing and checking of the two kinds of token: ES256 for sessions, RS256 for the gateway.

use std::fmt;

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use pem::{EncodeConfig, LineEnding, Pem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A private key, ready to sign, with its public half.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    private: EncodingKey,
    pub(crate) jwk: Jwk,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("jwk", &self.jwk).finish_non_exhaustive()
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Not three base64url parts with JSON in them.
    Malformed,
    /// The header names another algorithm than the key's.
    Algorithm,
    /// The header names no key, or one that is not ours.
    UnknownKey,
    /// The signature does not fit.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `nbf` lies ahead.
    NotYetValid,
    /// Another issuer's token.
    Issuer,
    /// A token for somebody else.
    Audience,
}

impl Invalid {
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Malformed => "the token is not a JWT",
            Self::Algorithm => "the token's algorithm is not the key's",
            Self::UnknownKey => "the token's kid names no key of this server",
            Self::Signature => "the token's signature does not fit",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Issuer => "the token was issued by another server",
            Self::Audience => "the token is for another audience",
        }
    }
}

impl From<jsonwebtoken::errors::Error> for Invalid {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Self::Issuer,
            ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => Self::Audience,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            // A header in JSON whose `alg` the library does not know.
            ErrorKind::Json(error) if error.is_data() => Self::Algorithm,
            _ => Self::Malformed,
        }
    }
}

/// A new private key as PKCS#8 DER.
pub(crate) fn generate_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>> {
    let failed = |_| anyhow!("no {algorithm:?} key could be generated");
    Ok(match algorithm {
        Algorithm::ES256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(failed)?
            .as_ref()
            .to_vec(),
        _ => RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der()).map_err(failed)?.as_ref().to_vec(),
    })
}

pub(crate) fn pem(pkcs8: &[u8]) -> String {
    pem::encode_config(&Pem::new("PRIVATE KEY", pkcs8), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

impl SigningKey {
    pub(crate) fn new(kid: String, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self> {
        let private = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(pkcs8),
            Algorithm::RS256 => EncodingKey::from_rsa_pem(pem(pkcs8).as_bytes())?,
            other => bail!("{other:?} is not an algorithm of this server"),
        };
        let mut jwk = Jwk::from_encoding_key(&private, algorithm)
            .with_context(|| format!("the stored {algorithm:?} key is unusable"))?;
        jwk.common.key_id = Some(kid);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_operations = Some(vec![KeyOperations::Verify]);
        Ok(Self { algorithm, private, jwk })
    }

    /// A compact JWT over `claims`, whose field order is kept.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.jwk.common.key_id);
        encode(&header, claims, &self.private).with_context(|| format!("signing with {:?} failed", self.algorithm))
    }
}

/// The `kid` in a token's header, nothing of which is verified.
pub(crate) fn kid(token: &str) -> Option<String> {
    decode_header(token).ok()?.kid
}

/// The claims of `token` if the private half of this key signed it in the name of one of `issuers` for `audience`, and it
/// is valid at `now` (epoch seconds). The algorithm belongs to the key, never to the token's header.
pub(crate) fn verify<T: DeserializeOwned>(
    jwk: &Jwk,
    algorithm: Algorithm,
    token: &str,
    issuers: &[&str],
    audience: &str,
    now: i64,
) -> Result<T, Invalid> {
    let header = decode_header(token)?;
    if header.alg != algorithm {
        return Err(Invalid::Algorithm);
    }
    if header.kid.is_none() || header.kid != jwk.common.key_id {
        return Err(Invalid::UnknownKey);
    }
    let mut rules = Validation::new(algorithm);
    rules.set_issuer(issuers);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["iss", "aud"]);
    // The library reads the system's clock, and this server has its own.
    rules.validate_exp = false;
    let claims: Value = decode(token, &DecodingKey::from_jwk(jwk)?, &rules)?.claims;
    if claims.get("exp").and_then(Value::as_i64).ok_or(Invalid::Malformed)? <= now {
        return Err(Invalid::Expired);
    }
    if claims.get("nbf").is_some_and(|nbf| nbf.as_i64().is_none_or(|nbf| nbf > now)) {
        return Err(Invalid::NotYetValid);
    }
    serde_json::from_value(claims).map_err(|_| Invalid::Malformed)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn key(algorithm: Algorithm) -> SigningKey {
        SigningKey::new("k1".into(), algorithm, &generate_pkcs8(algorithm).unwrap()).unwrap()
    }

    fn check(key: &SigningKey, token: &str, issuer: &str, now: i64) -> Result<Value, Invalid> {
        verify(&key.jwk, key.algorithm, token, &[issuer], "us", now)
    }

    fn tampered(token: &str, part: usize, with: &Value) -> String {
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts[part] = URL_SAFE_NO_PAD.encode(with.to_string());
        parts.join(".")
    }

    #[test]
    fn only_its_own_valid_tokens_pass() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256] {
            let key = key(algorithm);
            let claims = json!({ "iss": "me", "aud": "us", "nbf": 100, "exp": 200, "sub": "u" });
            let token = key.sign(&claims).unwrap();
            let other_issuer = |token: &str| check(&key, token, "you", 150);
            let check = |token: &str, now| check(&key, token, "me", now);
            assert_eq!(check(&token, 199), Ok(claims.clone()));
            assert_eq!(check(&token, 200), Err(Invalid::Expired));
            assert_eq!(check(&token, 99), Err(Invalid::NotYetValid));
            assert_eq!(other_issuer(&token), Err(Invalid::Issuer));
            let mut forged = claims.clone();
            forged["sub"] = json!("other");
            assert_eq!(check(&tampered(&token, 1, &forged), 150), Err(Invalid::Signature));
            let none = tampered(&token, 0, &json!({ "alg": "none", "kid": "k1" }));
            assert_eq!(check(&none, 150), Err(Invalid::Algorithm));
            let other_kid = tampered(&token, 0, &json!({ "alg": format!("{algorithm:?}"), "kid": "k2" }));
            assert_eq!(check(&other_kid, 150), Err(Invalid::UnknownKey));
            let stripped = &token[..=token.rfind('.').unwrap()];
            assert_eq!(check(stripped, 150), Err(Invalid::Signature));
            for broken in ["", "a", "a.b", "a.b.c", "....", &token.replace('.', "")] {
                assert_eq!(check(broken, 150), Err(Invalid::Malformed), "{broken}");
            }
            for aud in [json!("them"), json!(["them"]), json!(null)] {
                let token = key.sign(&json!({ "iss": "me", "aud": aud, "exp": 200 })).unwrap();
                assert_eq!(check(&token, 150), Err(Invalid::Audience), "{aud}");
            }
            let eternal = key.sign(&json!({ "iss": "me", "aud": "us" })).unwrap();
            assert_eq!(check(&eternal, 150), Err(Invalid::Malformed));
        }
    }

    #[test]
    fn another_key_with_the_same_id_does_not_pass() {
        for algorithm in [Algorithm::ES256, Algorithm::RS256] {
            let token = key(algorithm).sign(&json!({ "iss": "me", "aud": "us", "exp": 200 })).unwrap();
            assert_eq!(check(&key(algorithm), &token, "me", 150), Err(Invalid::Signature));
        }
    }
}
