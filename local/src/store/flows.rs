//! Sign-ins that take two steps: codes sent to an address, and providers.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;
use uuid::Uuid;

/// How long a code or a provider's answer is good for.
const LIFE_MS: i64 = 3_600_000;
const FLOW_LIFE_MS: i64 = 300_000;
/// Six digits must not be guessed.
const MOST_TRIES: i64 = 10;

/// A code for an address, which also goes out as a link.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) email: String,
    pub(crate) code: String,
    pub(crate) token_hash: String,
    pub(crate) metadata: Value,
    /// Of a page that wants to prove that it began this; empty for others.
    pub(crate) challenge: String,
    pub(crate) challenge_method: String,
}

/// Keeps a new code in place of the one before.
pub(crate) fn put_code(db: &Connection, code: &Code, now: i64) -> Result<()> {
    let Code { email, code, token_hash, metadata, challenge, challenge_method } = code;
    db.execute(
        "INSERT OR REPLACE INTO codes (email, code, metadata, created_at, token_hash, challenge, challenge_method)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![email, code, metadata.to_string(), now, token_hash, challenge, challenge_method],
    )?;
    Ok(())
}

/// Takes the code of a link, which is then used up.
pub(crate) fn take_hash(db: &Connection, token_hash: &str, now: i64) -> Result<Option<Code>> {
    let query = "DELETE FROM codes WHERE token_hash = ?1 AND token_hash <> '' AND created_at > ?2
         RETURNING email, code, token_hash, metadata, challenge, challenge_method";
    let read = |row: &rusqlite::Row<'_>| {
        let metadata: String = row.get(3)?;
        Ok(Code {
            email: row.get(0)?,
            code: row.get(1)?,
            token_hash: row.get(2)?,
            metadata: serde_json::from_str(&metadata).unwrap_or_default(),
            challenge: row.get(4)?,
            challenge_method: row.get(5)?,
        })
    };
    Ok(db.query_row(query, params![token_hash, now - LIFE_MS], read).optional()?)
}

/// When the address was last sent a code.
pub(crate) fn last_code(db: &Connection, email: &str) -> Result<Option<i64>> {
    Ok(db.query_row("SELECT created_at FROM codes WHERE email = ?1", [email], |row| row.get(0)).optional()?)
}

/// Takes a code, which is then used up, and gives the metadata that came with it.
pub(crate) fn take_code(db: &Connection, email: &str, code: &str, now: i64) -> Result<Option<Value>> {
    db.execute("UPDATE codes SET tries = tries + 1 WHERE email = ?1", [email])?;
    let query = "SELECT metadata FROM codes WHERE email = ?1 AND code = ?2 AND tries <= ?3 AND created_at > ?4";
    let found: Option<String> =
        db.query_row(query, params![email, code, MOST_TRIES, now - LIFE_MS], |row| row.get(0)).optional()?;
    let Some(metadata) = found else { return Ok(None) };
    drop_code(db, email)?;
    Ok(Some(serde_json::from_str(&metadata)?))
}

/// The code of this address is good for nothing any more.
pub(crate) fn drop_code(db: &Connection, email: &str) -> Result<()> {
    db.execute("DELETE FROM codes WHERE email = ?1", [email])?;
    Ok(())
}

/// A sign-in through a provider, as the page comes back from it.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) user_id: String,
    pub(crate) challenge: String,
    pub(crate) method: String,
}

/// Keeps a flow and gives the code that the page is sent back with.
pub(crate) fn begin(db: &Connection, flow: &Flow, now: i64) -> Result<String> {
    db.execute("DELETE FROM flows WHERE created_at <= ?1", [now - FLOW_LIFE_MS])?;
    let code = Uuid::new_v4().to_string();
    let Flow { user_id, challenge, method } = flow;
    db.execute("INSERT INTO flows VALUES (?1, ?2, ?3, ?4, ?5)", params![code, user_id, challenge, method, now])?;
    Ok(code)
}

/// Takes the flow of a code, which is then used up.
pub(crate) fn take(db: &Connection, code: &str, now: i64) -> Result<Option<Flow>> {
    let query = "DELETE FROM flows WHERE auth_code = ?1 AND created_at > ?2 RETURNING user_id, challenge, method";
    let flow = db.query_row(query, params![code, now - FLOW_LIFE_MS], |row| {
        Ok(Flow { user_id: row.get(0)?, challenge: row.get(1)?, method: row.get(2)? })
    });
    Ok(flow.optional()?)
}
