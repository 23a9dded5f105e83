//! The keys of this installation: made once, kept here. Making an RSA key takes a moment, so these functions block.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use behest_client::Secret;
use jsonwebtoken::Algorithm;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{keys, settings};
use crate::domain::identity::{Identity, KEYS_KEPT, KeyRing, TenantKey, sha256};
use crate::domain::jwt::{self, SigningKey};
use crate::domain::random;

/// How the keys begin that mint tokens.
const API_KEY_PREFIX: &str = "behest_sk_live_";
/// Shown of an API key, to know it by.
const API_KEY_SHOWN: usize = 20;

/// Reads the keys, making those that are missing.
pub(crate) fn load(db: &Connection) -> Result<Identity> {
    let uuid = || Ok(Uuid::new_v4().to_string());
    let key = |prefix: &'static str| move || Ok(format!("{prefix}{}", random::hex_key()?));
    Ok(Identity {
        publishable_key: settings::get_or_make(db, "publishable_key", key("sb_publishable_"))?,
        secret_key: settings::get_or_make(db, "secret_key", key("sb_secret_"))?.into(),
        behest_key: settings::get_or_make(db, "behest_key", key(API_KEY_PREFIX))?.into(),
        tenant_id: settings::get_or_make(db, "tenant_id", uuid)?,
        project_id: settings::get_or_make(db, "project_id", uuid)?,
        session_signer: key_ring(db, Algorithm::ES256)?,
        gateway_signer: key_ring(db, Algorithm::RS256)?,
    })
}

fn key_ring(db: &Connection, algorithm: Algorithm) -> Result<KeyRing> {
    let mut query = db.prepare("SELECT kid, pkcs8 FROM signing_keys WHERE algorithm = ?1 ORDER BY id DESC")?;
    let rows =
        query.query_map([format!("{algorithm:?}")], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut keys = Vec::new();
    for row in rows.take(KEYS_KEPT) {
        let (kid, pkcs8) = row?;
        keys.push(SigningKey::new(kid, algorithm, &pkcs8).context("the data file's signing key is broken")?);
    }
    if keys.is_empty() {
        keys.push(add_signing_key(db, algorithm)?);
    }
    Ok(KeyRing::new(algorithm, keys))
}

fn add_signing_key(db: &Connection, algorithm: Algorithm) -> Result<SigningKey> {
    let (kid, pkcs8) = (Uuid::new_v4().to_string(), jwt::generate_pkcs8(algorithm)?);
    let insert = "INSERT INTO signing_keys (kid, algorithm, pkcs8) VALUES (?1, ?2, ?3)";
    db.execute(insert, params![kid, format!("{algorithm:?}"), pkcs8])?;
    SigningKey::new(kid, algorithm, &pkcs8)
}

/// Signs sessions and gateway tokens with new keys from now on.
pub(crate) fn rotate(db: &Connection, identity: &Identity) -> Result<()> {
    for ring in [&identity.session_signer, &identity.gateway_signer] {
        ring.put_first(add_signing_key(db, ring.algorithm)?);
    }
    Ok(())
}

/// Makes a key for a server that signs gateway tokens itself, and keeps its public half.
pub(crate) fn add_tenant_key(db: &Connection, identity: &Identity, now: i64) -> Result<TenantKey> {
    let pkcs8 = jwt::generate_pkcs8(Algorithm::RS256)?;
    let kid = format!("sk_{}", random::word::<8>()?);
    keys::add_signing_key(db, &kid, &SigningKey::new(kid.clone(), Algorithm::RS256, &pkcs8)?.jwk, now)?;
    Ok(TenantKey {
        key: format!("behest_pk_{}", STANDARD.encode(jwt::pem(&pkcs8))).into(),
        kid,
        tenant_id: identity.tenant_id.clone(),
        project_id: identity.project_id.clone(),
    })
}

/// Makes another API key and keeps its hash.
pub(crate) fn add_api_key(db: &Connection, now: i64) -> Result<Secret> {
    let key = format!("{API_KEY_PREFIX}{}", random::hex_key()?);
    let id: String = key.chars().take(API_KEY_SHOWN).collect();
    keys::add_api_key(db, &id, &sha256(&key), now)?;
    Ok(key.into())
}
