//! Signatures and randomness, by aws-lc-rs. The functions are async because those of other platforms are.

use std::fmt;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::rsa::{KeyPair, PublicKeyComponents};
use aws_lc_rs::signature::{self, ParsedPublicKey};
use aws_lc_rs::{hmac, rand};

use crate::server::algorithm::Algorithm;
use crate::wire::uuid_v4;
use crate::{Error, Reason};

/// A key that checks signatures, together with the algorithms it is for.
pub(crate) struct VerifyingKey(Kind);

enum Kind {
    Public(Vec<(Algorithm, ParsedPublicKey)>),
    Shared(Box<hmac::Key>),
}

impl VerifyingKey {
    /// P-256, from the coordinates of its point.
    pub(crate) fn p256(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let point = [&[4], &x[..], &y[..]].concat();
        let key = ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).ok()?;
        Some(Self(Kind::Public(vec![(Algorithm::Es256, key)])))
    }

    /// Ed25519, from its 32 bytes.
    pub(crate) fn ed25519(x: &[u8; 32]) -> Option<Self> {
        let key = ParsedPublicKey::new(&signature::ED25519, x).ok()?;
        Some(Self(Kind::Public(vec![(Algorithm::EdDsa, key)])))
    }

    /// RSA, from modulus and exponent without leading zeros, for `algorithms`. The library takes up to 8,192 bits.
    pub(crate) fn rsa(n: &[u8], e: &[u8], algorithms: &[Algorithm]) -> Option<Self> {
        if n.len() > 8192 / 8 {
            return None;
        }
        let keys = algorithms.iter().map(|algorithm| {
            let parameters = match algorithm {
                Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                Algorithm::Es256 | Algorithm::EdDsa | Algorithm::Hs256 => return None,
            };
            let key = PublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()?;
            Some((*algorithm, key))
        });
        Some(Self(Kind::Public(keys.collect::<Option<Vec<_>>>()?)))
    }

    /// A shared secret for HS256.
    pub(crate) fn hs256(secret: &[u8]) -> Self {
        Self(Kind::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }

    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            Kind::Public(keys) => keys.iter().any(|(own, _)| *own == algorithm),
            Kind::Shared(_) => algorithm == Algorithm::Hs256,
        }
    }

    /// Did this key make `signature` over `message`? Always false for an algorithm the key is not for.
    pub(crate) async fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::Public(keys) => keys
                .iter()
                .find(|(own, _)| *own == algorithm)
                .is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok()),
            Kind::Shared(key) => algorithm == Algorithm::Hs256 && hmac::verify(key, message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey")
    }
}

/// An RSA private key that signs RS256, parsed once.
pub(crate) struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads PKCS#8 or PKCS#1, 2,048 to 8,192 bits.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        KeyPair::from_pkcs8(der).or_else(|_| KeyPair::from_der(der)).ok().map(Self)
    }

    pub(crate) async fn sign_rs256(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
        Some(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A random UUID (version 4).
pub(crate) fn random_uuid() -> Result<String, Error> {
    let mut bytes = [0; 16];
    let random: &dyn SecureRandom = &rand::SystemRandom::new();
    random.fill(&mut bytes).map_err(|_| Error::new(Reason::Internal, "the system gives no random numbers"))?;
    Ok(uuid_v4(bytes))
}
