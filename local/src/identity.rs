//! The keys of this installation: made once, kept in the data file.

use anyhow::{Context as _, Result};
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use behest_client::Secret;

use crate::jwt::{Algorithm, SigningKey};
use crate::random;
use crate::store::Store;

/// Who this Supabase project and this Behest project are.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) publishable_key: String,
    pub(crate) secret_key: Secret,
    pub(crate) behest_key: Secret,
    pub(crate) tenant_id: String,
    pub(crate) project_id: String,
    pub(crate) session_signer: SigningKey,
    pub(crate) gateway_signer: SigningKey,
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
                session_signer: signing_key(db, Algorithm::Es256)?,
                gateway_signer: signing_key(db, Algorithm::Rs256)?,
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

fn signing_key(db: &Connection, algorithm: Algorithm) -> Result<SigningKey> {
    let query = "SELECT kid, pkcs8 FROM signing_keys WHERE algorithm = ?1";
    let stored: Option<(String, Vec<u8>)> =
        db.query_row(query, [algorithm.name()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (kid, pkcs8) = match stored {
        Some(stored) => stored,
        None => {
            let made = (Uuid::new_v4().to_string(), SigningKey::generate_pkcs8(algorithm)?);
            let insert = "INSERT INTO signing_keys (kid, algorithm, pkcs8) VALUES (?1, ?2, ?3)";
            db.execute(insert, params![made.0, algorithm.name(), made.1])?;
            made
        }
    };
    SigningKey::from_pkcs8(kid, algorithm, &pkcs8).context("the data file's signing key is broken")
}
