//! Signing and checking of the two kinds of token: ES256 for sessions, RS256 for the gateway.

use std::fmt;

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The algorithm belongs to the key, never to the token's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Es256,
    Rs256,
}

impl Algorithm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
}

/// A key pair with its id, ready to sign and to check.
pub(crate) struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    pair: Pair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
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
}

impl Fault {
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Malformed => "the token is not a JWT",
            Self::Algorithm => "the token's algorithm is not the key's",
            Self::UnknownKey => "the token's kid names no key of this server",
            Self::Signature => "the token's signature does not fit",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Issuer => "the token was issued by another server",
        }
    }
}

impl SigningKey {
    pub(crate) fn from_pkcs8(kid: String, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::Es256),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(|pair| Pair::Rs256(Box::new(pair))),
        };
        let pair = pair.map_err(|why| anyhow!("the stored {} key is unusable: {why}", algorithm.name()))?;
        Ok(Self { kid, algorithm, pair })
    }

    /// A new private key as PKCS#8 DER.
    pub(crate) fn generate_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>> {
        let failed = |_| anyhow!("no {} key could be generated", algorithm.name());
        Ok(match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            Algorithm::Rs256 => {
                RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der()).map_err(failed)?.as_ref().to_vec()
            }
        })
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Es256(pair) => {
                // Uncompressed point: 0x04, x, y.
                let (x, y) = pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Pair::Rs256(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero()),
                })
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        jwk["key_ops"] = json!(["verify"]);
        jwk
    }

    /// A compact JWT over `claims`, whose field order is kept.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let header = json!({ "alg": self.algorithm.name(), "typ": "JWT", "kid": self.kid });
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).context("claims are not JSON")?));
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>> {
        let rng = SystemRandom::new();
        let failed = |_| anyhow!("signing with {} failed", self.algorithm.name());
        match &self.pair {
            Pair::Es256(pair) => Ok(pair.sign(&rng, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }

    /// The claims of `token` if this key signed it for `issuer` and it is valid at `now` (epoch seconds).
    pub(crate) fn verify<T: DeserializeOwned>(&self, token: &str, issuer: &str, now: i64) -> Result<T, Fault> {
        check(token, self.algorithm, &self.kid, &[issuer], now, |message, signature| match &self.pair {
            Pair::Es256(pair) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key()).verify(message, signature).is_ok()
            }
            Pair::Rs256(pair) => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key())
                .verify(message, signature)
                .is_ok(),
        })
    }
}

/// The `kid` in a token's header, nothing of which is verified.
pub(crate) fn kid(token: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    header.get("kid")?.as_str().map(str::to_owned)
}

/// The claims of `token` if the private half of this RSA key signed it for one of `issuers` and it is valid at `now`.
pub(crate) fn verify_with_jwk<T: DeserializeOwned>(
    jwk: &Value,
    token: &str,
    issuers: &[&str],
    now: i64,
) -> Result<T, Fault> {
    let field = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(field(name)).unwrap_or_default();
    let public = RsaPublicKeyComponents { n: number("n"), e: number("e") };
    check(token, Algorithm::Rs256, field("kid"), issuers, now, |message, signature| {
        public.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    })
}

fn check<T: DeserializeOwned>(
    token: &str,
    algorithm: Algorithm,
    kid: &str,
    issuers: &[&str],
    now: i64,
    fits: impl FnOnce(&[u8], &[u8]) -> bool,
) -> Result<T, Fault> {
    let (message, signature) = token.rsplit_once('.').ok_or(Fault::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Fault::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Malformed);
    let header: Value = serde_json::from_slice(&decode(header)?).map_err(|_| Fault::Malformed)?;
    if header.get("alg").and_then(Value::as_str) != Some(algorithm.name()) {
        return Err(Fault::Algorithm);
    }
    if header.get("kid").and_then(Value::as_str) != Some(kid) {
        return Err(Fault::UnknownKey);
    }
    if !fits(message.as_bytes(), &decode(signature)?) {
        return Err(Fault::Signature);
    }
    let claims: Value = serde_json::from_slice(&decode(payload)?).map_err(|_| Fault::Malformed)?;
    if !claims.get("iss").and_then(Value::as_str).is_some_and(|issuer| issuers.contains(&issuer)) {
        return Err(Fault::Issuer);
    }
    if claims.get("exp").and_then(Value::as_i64).ok_or(Fault::Malformed)? <= now {
        return Err(Fault::Expired);
    }
    if claims.get("nbf").is_some_and(|nbf| nbf.as_i64().is_none_or(|nbf| nbf > now)) {
        return Err(Fault::NotYetValid);
    }
    serde_json::from_value(claims).map_err(|_| Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm) -> SigningKey {
        SigningKey::from_pkcs8("k1".into(), algorithm, &SigningKey::generate_pkcs8(algorithm).unwrap()).unwrap()
    }

    fn tampered(token: &str, part: usize, with: &Value) -> String {
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts[part] = URL_SAFE_NO_PAD.encode(with.to_string());
        parts.join(".")
    }

    #[test]
    fn only_its_own_valid_tokens_pass() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let key = key(algorithm);
            let claims = json!({ "iss": "me", "nbf": 100, "exp": 200, "sub": "u" });
            let token = key.sign(&claims).unwrap();
            let check = |token: &str, now| key.verify::<Value>(token, "me", now);
            assert_eq!(check(&token, 199), Ok(claims.clone()));
            assert_eq!(check(&token, 200), Err(Fault::Expired));
            assert_eq!(check(&token, 99), Err(Fault::NotYetValid));
            assert_eq!(key.verify::<Value>(&token, "you", 150), Err(Fault::Issuer));
            let mut forged = claims.clone();
            forged["sub"] = json!("other");
            assert_eq!(check(&tampered(&token, 1, &forged), 150), Err(Fault::Signature));
            let none = tampered(&token, 0, &json!({ "alg": "none", "kid": "k1" }));
            assert_eq!(check(&none, 150), Err(Fault::Algorithm));
            let other_kid = tampered(&token, 0, &json!({ "alg": algorithm.name(), "kid": "k2" }));
            assert_eq!(check(&other_kid, 150), Err(Fault::UnknownKey));
            let stripped = &token[..=token.rfind('.').unwrap()];
            assert_eq!(check(stripped, 150), Err(Fault::Signature));
            for broken in ["", "a", "a.b", "a.b.c", "....", &token.replace('.', "")] {
                assert_eq!(check(broken, 150), Err(Fault::Malformed), "{broken}");
            }
            let eternal = key.sign(&json!({ "iss": "me" })).unwrap();
            assert_eq!(check(&eternal, 150), Err(Fault::Malformed));
        }
    }

    #[test]
    fn another_key_with_the_same_id_does_not_pass() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let token = key(algorithm).sign(&json!({ "iss": "me", "exp": 200 })).unwrap();
            assert_eq!(key(algorithm).verify::<Value>(&token, "me", 150), Err(Fault::Signature));
        }
    }
}
