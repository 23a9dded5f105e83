//! The keys of this installation. The data file keeps them.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use behest_client::Secret;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::jwt::{self, Invalid, SigningKey};

/// How many keys of an algorithm are honoured: the one that signs, and those before it.
pub(crate) const KEYS_KEPT: usize = 3;

/// Who this Supabase project and this Behest project are.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) publishable_key: String,
    pub(crate) secret_key: Secret,
    pub(crate) behest_key: Secret,
    pub(crate) tenant_id: String,
    pub(crate) project_id: String,
    pub(crate) session_signer: KeyRing,
    pub(crate) gateway_signer: KeyRing,
}

/// The keys of one algorithm, newest first: the newest signs, all verify.
#[derive(Debug)]
pub(crate) struct KeyRing {
    pub(crate) algorithm: Algorithm,
    keys: RwLock<Vec<Arc<SigningKey>>>,
}

impl KeyRing {
    pub(crate) fn new(algorithm: Algorithm, keys: Vec<SigningKey>) -> Self {
        Self { algorithm, keys: RwLock::new(keys.into_iter().map(Arc::new).collect()) }
    }

    fn all(&self) -> Vec<Arc<SigningKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// This key signs from now on. The ones before it stay valid for a while.
    pub(crate) fn put_first(&self, key: SigningKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(0, Arc::new(key));
        keys.truncate(KEYS_KEPT);
    }

    /// The public keys, the one that signs first.
    pub(crate) fn jwks(&self) -> Vec<Jwk> {
        self.all().iter().map(|key| key.jwk.clone()).collect()
    }

    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String> {
        self.all().first().context("there is no signing key")?.sign(claims)
    }

    /// See [`jwt::verify`].
    pub(crate) fn verify<T: DeserializeOwned>(
        &self,
        token: &str,
        issuer: &str,
        audience: &str,
        now: i64,
    ) -> Result<T, Invalid> {
        for key in self.all() {
            match jwt::verify(&key.jwk, self.algorithm, token, &[issuer], audience, now) {
                Err(Invalid::UnknownKey) => {}
                decided => return decided,
            }
        }
        Err(Invalid::UnknownKey)
    }
}

/// A key with which a server signs gateway tokens itself, as its environment holds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TenantKey {
    /// `BEHEST_KEY`: `behest_pk_` and the base64 of the private key's PEM.
    pub key: Secret,
    /// `BEHEST_KID`
    pub kid: String,
    /// `BEHEST_TENANT_ID`
    pub tenant_id: String,
    /// `BEHEST_PROJECT_ID`
    pub project_id: String,
}

pub(crate) fn sha256(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}
