//! Keys made for the test run, the JWKs that publish them, and tokens signed with them.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

#[derive(Clone)]
pub(crate) enum Key {
    P256(Arc<EcdsaKeyPair>),
    Rsa(Arc<RsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
    Shared(Vec<u8>),
}

static PROJECT: LazyLock<Key> = LazyLock::new(Key::p256);
static RSA: LazyLock<Key> = LazyLock::new(|| Key::Rsa(Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())));

impl Key {
    /// The key the usual sessions are signed with.
    pub(crate) fn project() -> Self {
        PROJECT.clone()
    }

    pub(crate) fn rsa() -> Self {
        RSA.clone()
    }

    pub(crate) fn p256() -> Self {
        Self::P256(Arc::new(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Arc::new(Ed25519KeyPair::generate().unwrap()))
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let encode = |bytes: &[u8]| BASE64URL.encode(bytes);
        match self {
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": ["verify"], "kid": kid,
                    "x": encode(&point[1..33]), "y": encode(&point[33..])})
            }
            Self::Rsa(pair) => {
                let public = pair.public_key();
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero())})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, "x": encode(pair.public_key().as_ref())})
            }
            Self::Shared(secret) => json!({"kty": "oct", "alg": "HS256", "kid": kid, "k": encode(secret)}),
        }
    }

    /// PKCS#8 of an RSA key.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        let Self::Rsa(pair) = self else { panic!("not an RSA key") };
        AsDer::<aws_lc_rs::encoding::Pkcs8V1Der>::as_der(&**pair).unwrap().as_ref().to_vec()
    }

    /// PKCS#1 of an RSA key: the octet string that PKCS#8 wraps after 26 bytes, for keys of this size.
    pub(crate) fn pkcs1(&self) -> Vec<u8> {
        self.pkcs8()[26..].to_vec()
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Shared(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// Checks an RS256 token with this key's public half and gives its header and claims as they are written.
    pub(crate) fn open(&self, token: &str) -> (String, String) {
        let Self::Rsa(pair) = self else { panic!("not an RSA key") };
        let (signed, sealed) = token.rsplit_once('.').unwrap();
        let public = pair.public_key();
        let parts = aws_lc_rs::rsa::PublicKeyComponents {
            n: public.modulus().big_endian_without_leading_zero(),
            e: public.exponent().big_endian_without_leading_zero(),
        };
        let sealed = BASE64URL.decode(sealed).unwrap();
        parts
            .verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &sealed)
            .expect("the signature verifies");
        let text = |part| String::from_utf8(BASE64URL.decode(part).unwrap()).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        (text(header), text(claims))
    }
}

/// A token with exactly this header and these claims, signed with `key`.
pub(crate) fn jwt(key: &Key, header: Value, claims: &Value) -> String {
    raw_jwt(key, header["alg"].as_str().unwrap_or_default(), &header.to_string(), &claims.to_string())
}

/// A token of texts that need not be JSON.
pub(crate) fn raw_jwt(key: &Key, algorithm: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let signature = key.sign(algorithm, signed.as_bytes());
    format!("{signed}.{}", BASE64URL.encode(signature))
}
