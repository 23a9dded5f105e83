//! Keys of the gateway beside its own: API keys that mint, and the public halves of keys that sign.

use anyhow::{Result, ensure};
use jsonwebtoken::jwk::Jwk;
use rusqlite::{Connection, OptionalExtension as _, params};

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRow {
    /// What it is called by: an API key's beginning, or a signing key's `kid`.
    pub id: String,
    /// `api` or `signing`.
    pub kind: &'static str,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// When it was revoked, if it was.
    pub revoked_at: Option<i64>,
}

pub(crate) fn add_api_key(db: &Connection, id: &str, sha256: &[u8], now: i64) -> Result<()> {
    db.execute("INSERT INTO api_keys VALUES (?1, ?2, ?3, NULL)", params![id, sha256, now])?;
    Ok(())
}

/// Is this the hash of a key that has not been revoked?
pub(crate) fn is_api_key(db: &Connection, sha256: &[u8]) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM api_keys WHERE sha256 = ?1 AND revoked_at IS NULL)";
    Ok(db.query_row(query, [sha256], |row| row.get(0))?)
}

pub(crate) fn add_signing_key(db: &Connection, kid: &str, jwk: &Jwk, now: i64) -> Result<()> {
    let jwk = serde_json::to_string(jwk)?;
    db.execute("INSERT INTO tenant_keys VALUES (?1, ?2, ?3, NULL)", params![kid, jwk, now])?;
    Ok(())
}

/// The public key of this id, unless it is revoked.
pub(crate) fn signing_key(db: &Connection, kid: &str) -> Result<Option<Jwk>> {
    let query = "SELECT jwk FROM tenant_keys WHERE kid = ?1 AND revoked_at IS NULL";
    let text: Option<String> = db.query_row(query, [kid], |row| row.get(0)).optional()?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// The public keys that are not revoked.
pub(crate) fn signing_keys(db: &Connection) -> Result<Vec<Jwk>> {
    let mut query = db.prepare("SELECT jwk FROM tenant_keys WHERE revoked_at IS NULL ORDER BY created_at, kid")?;
    let rows = query.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|row| Ok(serde_json::from_str(&row?)?)).collect()
}

pub(crate) fn list(db: &Connection) -> Result<Vec<KeyRow>> {
    let mut query = db.prepare(
        "SELECT id, 0, created_at, revoked_at FROM api_keys
         UNION ALL SELECT kid, 1, created_at, revoked_at FROM tenant_keys ORDER BY created_at, id",
    )?;
    let rows = query.query_map([], |row| {
        let kind = if row.get::<_, bool>(1)? { "signing" } else { "api" };
        Ok(KeyRow { id: row.get(0)?, kind, created_at: row.get(2)?, revoked_at: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Revokes the key of this id.
pub(crate) fn revoke(db: &Connection, id: &str, now: i64) -> Result<()> {
    let mut revoked = 0;
    for update in [
        "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
        "UPDATE tenant_keys SET revoked_at = ?2 WHERE kid = ?1 AND revoked_at IS NULL",
    ] {
        revoked += db.execute(update, params![id, now])?;
    }
    ensure!(revoked > 0, "there is no key {id:?} that could be revoked");
    Ok(())
}
