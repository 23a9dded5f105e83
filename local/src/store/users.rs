//! Users and their profiles.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;
use uuid::Uuid;

/// The plan a new user's profile starts with.
const FIRST_PLAN: &str = "free";

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    /// `None` for an anonymous user.
    pub(crate) email: Option<String>,
    pub(crate) password_hash: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) last_sign_in_at: Option<i64>,
}

impl User {
    pub(crate) fn is_anonymous(&self) -> bool {
        self.email.is_none()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let metadata: String = row.get("metadata")?;
        Ok(Self {
            id: row.get("id")?,
            email: row.get("email")?,
            password_hash: row.get("password_hash")?,
            metadata: serde_json::from_str(&metadata).unwrap_or_default(),
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            last_sign_in_at: row.get("last_sign_in_at")?,
        })
    }
}

/// Adds a user with a profile; `None` if the address is taken.
pub(crate) fn add(
    db: &Connection,
    email: Option<&str>,
    password_hash: Option<&str>,
    metadata: &Value,
    now: i64,
) -> Result<Option<User>> {
    if let Some(email) = email
        && by_email(db, email)?.is_some()
    {
        return Ok(None);
    }
    let id = Uuid::new_v4().to_string();
    db.execute(
        "INSERT INTO users (id, email, password_hash, metadata, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![id, email, password_hash, metadata.to_string(), now],
    )?;
    set_plan(db, &id, Some(FIRST_PLAN))?;
    by_id(db, &id)
}

pub(crate) fn by_email(db: &Connection, email: &str) -> Result<Option<User>> {
    Ok(db.query_row("SELECT * FROM users WHERE email = ?1", [email], User::read).optional()?)
}

pub(crate) fn by_id(db: &Connection, id: &str) -> Result<Option<User>> {
    Ok(db.query_row("SELECT * FROM users WHERE id = ?1", [id], User::read).optional()?)
}

pub(crate) fn set_password(db: &Connection, id: &str, password_hash: &str, now: i64) -> Result<()> {
    db.execute("UPDATE users SET password_hash = ?2, updated_at = ?3 WHERE id = ?1", params![id, password_hash, now])?;
    Ok(())
}

/// The profile's plan: `None` if there is no row, `Some(None)` if its plan is null.
pub(crate) fn plan(db: &Connection, id: &str) -> Result<Option<Option<String>>> {
    Ok(db.query_row("SELECT plan FROM profiles WHERE id = ?1", [id], |row| row.get(0)).optional()?)
}

/// Sets the plan, adding the profile if there is none. Fails for an unknown user.
pub(crate) fn set_plan(db: &Connection, id: &str, plan: Option<&str>) -> Result<()> {
    db.execute(
        "INSERT INTO profiles (id, plan) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET plan = excluded.plan",
        params![id, plan],
    )?;
    Ok(())
}
