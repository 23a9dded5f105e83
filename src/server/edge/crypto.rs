//! Signatures and randomness, by the host's WebCrypto. The host keeps the keys: imported once, by number.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::host;
use super::operation::Operation;
use crate::Error;
use crate::base64::encode_url;
use crate::server::algorithm::Algorithm;
use crate::server::pkcs8;
use crate::server::platform::log::log;

/// The host could not import the key, or has no such algorithm.
const UNUSABLE: u32 = 2;

/// A key that the host keeps.
struct Key(u32);

impl Key {
    fn of_bytes(format: &str, bytes: &[u8]) -> Self {
        Self(host::keep_key(format, bytes, "", ""))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        host::forget_key(self.0);
    }
}

/// A key that checks signatures, together with the algorithms it is for.
pub(crate) struct VerifyingKey {
    key: Key,
    algorithms: Vec<Algorithm>,
}

impl VerifyingKey {
    /// P-256, from the coordinates of its point.
    pub(crate) fn p256(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        Some(Self::of_bytes(&[&[4], &x[..], &y[..]].concat(), Algorithm::Es256))
    }

    /// Ed25519, from its 32 bytes.
    pub(crate) fn ed25519(x: &[u8; 32]) -> Option<Self> {
        Some(Self::of_bytes(x, Algorithm::EdDsa))
    }

    /// RSA, from modulus and exponent without leading zeros, for `algorithms`.
    pub(crate) fn rsa(n: &[u8], e: &[u8], algorithms: &[Algorithm]) -> Option<Self> {
        let key = Key(host::keep_key("jwk", &[], &encode_url(n), &encode_url(e)));
        Some(Self { key, algorithms: algorithms.to_vec() })
    }

    /// A shared secret for HS256.
    pub(crate) fn hs256(secret: &[u8]) -> Self {
        Self::of_bytes(secret, Algorithm::Hs256)
    }

    fn of_bytes(bytes: &[u8], algorithm: Algorithm) -> Self {
        Self { key: Key::of_bytes("raw", bytes), algorithms: vec![algorithm] }
    }

    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Did this key make `signature` over `message`? Always false for an algorithm the key is not for.
    pub(crate) async fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let begin = |id| host::verify(id, self.key.0, algorithm.name(), signature, message);
        if !self.is_for(algorithm) {
            return false;
        }
        let code = Operation::begin(begin).await.code;
        if code == UNUSABLE {
            log!(error, "the host's WebCrypto does not take a key of the key set", algorithm = algorithm.name());
        }
        code == 1
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey")
    }
}

/// An RSA private key that signs RS256.
pub(crate) struct SigningKey {
    key: Key,
    /// Not every host looks whether the numbers of a private key fit together.
    public: VerifyingKey,
    tried: AtomicBool,
}

impl SigningKey {
    /// Reads PKCS#8 or PKCS#1, 2,048 to 16,384 bits.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        let key = pkcs8::from_der(der)?;
        let public = VerifyingKey::rsa(&key.modulus, &key.exponent, &[Algorithm::Rs256])?;
        Some(Self { key: Key::of_bytes("pkcs8", &key.pkcs8), public, tried: AtomicBool::new(false) })
    }

    pub(crate) async fn sign_rs256(&self, message: &[u8]) -> Option<Vec<u8>> {
        // Two requests at the start may both do so: no request waits for another.
        if !self.tried.load(Ordering::Relaxed) {
            let sample = b"Is this key whole?";
            let signature = self.sign(sample).await?;
            if !self.public.verifies(Algorithm::Rs256, sample, &signature).await {
                log!(error, "BEHEST_KEY is damaged: what it signs does not verify");
                return None;
            }
            self.tried.store(true, Ordering::Relaxed);
        }
        self.sign(message).await
    }

    async fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let outcome = Operation::begin(|id| host::sign(id, self.key.0, message)).await;
        (outcome.code == 1).then_some(outcome.bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A random UUID (version 4). A host without random numbers throws, which is a trap here.
pub(crate) fn random_uuid() -> Result<String, Error> {
    Ok(host::random_uuid())
}
