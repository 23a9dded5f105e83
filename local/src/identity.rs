//! The keys of this installation: made once, kept in the data file.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use behest_client::Secret;

use crate::jwt::{Algorithm, Fault, SigningKey};
use crate::random;
use crate::store::{Store, keys};

/// How many keys of an algorithm are honoured: the one that signs, and those before it.
const KEYS_KEPT: usize = 3;
/// Shown of an API key, to know it by.
const API_KEY_SHOWN: usize = 20;

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

impl Identity {
    /// Reads the keys, making those that are missing. Blocks: making an RSA key takes a moment.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        store.blocking(|db| {
            let uuid = || Ok(Uuid::new_v4().to_string());
            let key = |prefix: &'static str| move || Ok(format!("{prefix}{}", random::hex_key()?));
            Ok(Self {
                publishable_key: setting(db, "publishable_key", key("sb_publishable_"))?,
                secret_key: setting(db, "secret_key", key("sb_secret_"))?.into(),
                behest_key: setting(db, "behest_key", key("behest_sk_live_"))?.into(),
                tenant_id: setting(db, "tenant_id", uuid)?,
                project_id: setting(db, "project_id", uuid)?,
                session_signer: KeyRing::load(db, Algorithm::Es256)?,
                gateway_signer: KeyRing::load(db, Algorithm::Rs256)?,
            })
        })
    }
}

fn setting(db: &Connection, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
    let stored = db.query_row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0)).optional()?;
    if let Some(value) = stored {
        return Ok(value);
    }
    let value = make()?;
    db.execute("INSERT INTO settings VALUES (?1, ?2)", [name, value.as_str()])?;
    Ok(value)
}

/// The keys of one algorithm, newest first: the newest signs, all verify.
#[derive(Debug)]
pub(crate) struct KeyRing {
    algorithm: Algorithm,
    keys: RwLock<Vec<Arc<SigningKey>>>,
}

impl KeyRing {
    fn load(db: &Connection, algorithm: Algorithm) -> Result<Self> {
        let mut query = db.prepare("SELECT kid, pkcs8 FROM signing_keys WHERE algorithm = ?1 ORDER BY id DESC")?;
        let rows =
            query.query_map([algorithm.name()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut keys = Vec::new();
        for row in rows.take(KEYS_KEPT) {
            let (kid, pkcs8) = row?;
            let key = SigningKey::from_pkcs8(kid, algorithm, &pkcs8);
            keys.push(Arc::new(key.context("the data file's signing key is broken")?));
        }
        if keys.is_empty() {
            keys.push(Arc::new(add(db, algorithm)?));
        }
        Ok(Self { algorithm, keys: RwLock::new(keys) })
    }

    fn all(&self) -> Vec<Arc<SigningKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The public keys, the one that signs first.
    pub(crate) fn jwks(&self) -> Vec<Value> {
        self.all().iter().map(|key| key.jwk()).collect()
    }

    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String> {
        self.all().first().context("there is no signing key")?.sign(claims)
    }

    /// See [`SigningKey::verify`].
    pub(crate) fn verify<T: DeserializeOwned>(&self, token: &str, issuer: &str, now: i64) -> Result<T, Fault> {
        let mut last = Fault::UnknownKey;
        for key in self.all() {
            match key.verify(token, issuer, now) {
                Err(Fault::UnknownKey) => last = Fault::UnknownKey,
                decided => return decided,
            }
        }
        Err(last)
    }

    /// Makes a new key that signs from now on. The ones before it stay valid for a while.
    fn rotate(&self, store: &Store) -> Result<()> {
        let key = store.blocking(|db| add(db, self.algorithm))?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(0, Arc::new(key));
        keys.truncate(KEYS_KEPT);
        Ok(())
    }
}

fn add(db: &Connection, algorithm: Algorithm) -> Result<SigningKey> {
    let (kid, pkcs8) = (Uuid::new_v4().to_string(), SigningKey::generate_pkcs8(algorithm)?);
    let insert = "INSERT INTO signing_keys (kid, algorithm, pkcs8) VALUES (?1, ?2, ?3)";
    db.execute(insert, params![kid, algorithm.name(), pkcs8])?;
    SigningKey::from_pkcs8(kid, algorithm, &pkcs8)
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

impl Identity {
    /// Signs sessions and gateway tokens with new keys from now on. Blocks: making an RSA key takes a moment.
    pub(crate) fn rotate(&self, store: &Store) -> Result<()> {
        self.session_signer.rotate(store)?;
        self.gateway_signer.rotate(store)
    }

    /// Makes a signing key and keeps its public half. Blocks: making an RSA key takes a moment.
    pub(crate) fn add_tenant_key(&self, store: &Store, now: i64) -> Result<TenantKey> {
        let pkcs8 = SigningKey::generate_pkcs8(Algorithm::Rs256)?;
        let kid = format!("sk_{}", random::word::<8>()?);
        let jwk = SigningKey::from_pkcs8(kid.clone(), Algorithm::Rs256, &pkcs8)?.jwk();
        store.blocking(|db| keys::add_signing_key(db, &kid, &jwk, now))?;
        Ok(TenantKey {
            key: format!("behest_pk_{}", STANDARD.encode(pem(&pkcs8))).into(),
            kid,
            tenant_id: self.tenant_id.clone(),
            project_id: self.project_id.clone(),
        })
    }
}

/// Makes another API key and keeps its hash.
pub(crate) fn add_api_key(store: &Store, now: i64) -> Result<Secret> {
    let key = format!("behest_sk_live_{}", random::hex_key()?);
    let id: String = key.chars().take(API_KEY_SHOWN).collect();
    store.blocking(|db| keys::add_api_key(db, &id, &sha256(&key), now))?;
    Ok(key.into())
}

pub(crate) fn sha256(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

fn pem(pkcs8: &[u8]) -> String {
    const LINE: usize = 64;
    let body = STANDARD.encode(pkcs8);
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}
