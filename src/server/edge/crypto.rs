//! Signatures and randomness, by WebCrypto.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use js_sys::{Array, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::*;

use super::convert::object;
use crate::server::algorithm::Algorithm;
use crate::server::pkcs8;
use crate::{Error, Reason, Secret};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = importKey)]
    async fn import_key(
        format: &str,
        data: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = verify)]
    async fn subtle_verify(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &Uint8Array,
        data: &Uint8Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = sign)]
    async fn subtle_sign(algorithm: &JsValue, key: &JsValue, data: &Uint8Array) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = crypto, js_name = randomUUID)]
    fn host_random_uuid() -> Result<String, JsValue>;
}

/// The algorithm, in the words of WebCrypto, for importing a key and for using it.
fn parameters(algorithm: Algorithm) -> JsValue {
    let hashed = |name: &str, hash: &str| object(&[("name", name.into()), ("hash", hash.into())]);
    match algorithm {
        Algorithm::Rs256 => hashed("RSASSA-PKCS1-v1_5", "SHA-256"),
        Algorithm::Rs384 => hashed("RSASSA-PKCS1-v1_5", "SHA-384"),
        Algorithm::Rs512 => hashed("RSASSA-PKCS1-v1_5", "SHA-512"),
        Algorithm::Ps256 => {
            object(&[("name", "RSA-PSS".into()), ("hash", "SHA-256".into()), ("saltLength", 32.into())])
        }
        Algorithm::Es256 => {
            object(&[("name", "ECDSA".into()), ("namedCurve", "P-256".into()), ("hash", "SHA-256".into())])
        }
        Algorithm::EdDsa => object(&[("name", "Ed25519".into())]),
        Algorithm::Hs256 => hashed("HMAC", "SHA-256"),
    }
}

/// A key that checks signatures, together with the algorithms it is for.
pub(crate) struct VerifyingKey {
    material: Material,
    algorithms: Vec<Algorithm>,
}

enum Material {
    /// A point, an Ed25519 key or a shared secret, as WebCrypto's format `raw` has it.
    Raw(Vec<u8>),
    /// Modulus and exponent in base64url.
    Rsa(String, String),
}

impl VerifyingKey {
    /// P-256, from the coordinates of its point.
    pub(crate) fn p256(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        Some(Self { material: Material::Raw([&[4], &x[..], &y[..]].concat()), algorithms: vec![Algorithm::Es256] })
    }

    /// Ed25519, from its 32 bytes.
    pub(crate) fn ed25519(x: &[u8; 32]) -> Option<Self> {
        Some(Self { material: Material::Raw(x.to_vec()), algorithms: vec![Algorithm::EdDsa] })
    }

    /// RSA, from modulus and exponent without leading zeros, for `algorithms`.
    pub(crate) fn rsa(n: &[u8], e: &[u8], algorithms: &[Algorithm]) -> Option<Self> {
        let material = Material::Rsa(URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
        Some(Self { material, algorithms: algorithms.to_vec() })
    }

    /// A shared secret for HS256.
    pub(crate) fn hs256(secret: &[u8]) -> Self {
        Self { material: Material::Raw(secret.to_vec()), algorithms: vec![Algorithm::Hs256] }
    }

    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Did this key make `signature` over `message`? Always false for an algorithm the key is not for.
    pub(crate) async fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        let verified = SendWrapper::new(async {
            let parameters = parameters(algorithm);
            let usages = Array::of1(&"verify".into());
            let key = match &self.material {
                Material::Raw(bytes) => {
                    import_key("raw", &Uint8Array::from(&bytes[..]), &parameters, false, &usages).await?
                }
                Material::Rsa(n, e) => {
                    let jwk = object(&[("kty", "RSA".into()), ("n", n.into()), ("e", e.into())]);
                    import_key("jwk", &jwk, &parameters, false, &usages).await?
                }
            };
            subtle_verify(&parameters, &key, &Uint8Array::from(signature), &Uint8Array::from(message)).await
        });
        verified.await.is_ok_and(|verified: JsValue| verified == true)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey")
    }
}

/// An RSA private key that signs RS256, imported once.
pub(crate) struct SigningKey {
    pkcs8: Secret<Vec<u8>>,
    /// Not every host looks whether the numbers of a private key fit together.
    public: VerifyingKey,
    imported: Mutex<Option<SendWrapper<JsValue>>>,
}

impl SigningKey {
    /// Reads PKCS#8 or PKCS#1, 2048 to 8192 bits.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        let key = pkcs8::from_der(der)?;
        let public = VerifyingKey::rsa(&key.modulus, &key.exponent, &[Algorithm::Rs256])?;
        Some(Self { pkcs8: Secret::new(key.pkcs8), public, imported: Mutex::default() })
    }

    pub(crate) async fn sign_rs256(&self, message: &[u8]) -> Option<Vec<u8>> {
        SendWrapper::new(async { sign(&self.key().await?, message).await.ok() }).await
    }

    /// Imported once, and tried once. Two requests at the start may both do so: no request waits for another.
    async fn key(&self) -> Option<JsValue> {
        let imported = || self.imported.lock().unwrap_or_else(PoisonError::into_inner);
        let known = imported().as_deref().cloned();
        if let Some(key) = known {
            return Some(key);
        }
        let bytes = Uint8Array::from(&self.pkcs8.expose()[..]);
        let usages = Array::of1(&"sign".into());
        let key = import_key("pkcs8", &bytes, &parameters(Algorithm::Rs256), false, &usages).await.ok()?;
        let sample = b"Is this key whole?";
        let signature = sign(&key, sample).await.ok()?;
        if !self.public.verifies(Algorithm::Rs256, sample, &signature).await {
            tracing::error!("BEHEST_KEY is damaged: what it signs does not verify");
            return None;
        }
        *imported() = Some(SendWrapper::new(key.clone()));
        Some(key)
    }
}

async fn sign(key: &JsValue, message: &[u8]) -> Result<Vec<u8>, JsValue> {
    let signature = subtle_sign(&parameters(Algorithm::Rs256), key, &Uint8Array::from(message)).await?;
    Ok(Uint8Array::new(&signature).to_vec())
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A random UUID (version 4).
pub(crate) fn random_uuid() -> Result<String, Error> {
    host_random_uuid().map_err(|_| Error::new(Reason::Internal, "the host gives no random numbers"))
}
