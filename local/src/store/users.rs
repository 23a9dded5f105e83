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
    /// Who vouched for the address: `email`, or a provider's name.
    pub(crate) provider: String,
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
            provider: row.get("provider")?,
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

/// Adds a user whom a provider vouches for; `None` if the address is taken.
pub(crate) fn add_from(db: &Connection, provider: &str, email: &str, now: i64) -> Result<Option<User>> {
    let Some(user) = add(db, Some(email), None, &serde_json::json!({ "email": email }), now)? else { return Ok(None) };
    db.execute("UPDATE users SET provider = ?2 WHERE id = ?1", [&user.id, provider])?;
    by_id(db, &user.id)
}

/// What a user changes about themselves; `None` leaves a thing as it is.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) email: Option<String>,
    pub(crate) password_hash: Option<String>,
    pub(crate) metadata: Option<Value>,
}

/// Changes a user; `None` if the new address is another user's.
pub(crate) fn change(db: &Connection, id: &str, changes: &Changes, now: i64) -> Result<Option<User>> {
    if let Some(email) = &changes.email
        && by_email(db, email)?.is_some_and(|other| other.id != id)
    {
        return Ok(None);
    }
    db.execute(
        "UPDATE users SET email = coalesce(?2, email), password_hash = coalesce(?3, password_hash),
         metadata = coalesce(?4, metadata), updated_at = ?5 WHERE id = ?1",
        params![id, changes.email, changes.password_hash, changes.metadata.as_ref().map(Value::to_string), now],
    )?;
    by_id(db, id)
}

/// A user as they are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserRow {
    /// The id, a UUID.
    pub id: String,
    /// The address; `None` for an anonymous user.
    pub email: Option<String>,
    /// The plan in the user's profile, if there is one.
    pub plan: Option<String>,
}

/// All users with their plans, oldest first.
pub(crate) fn all(db: &Connection) -> Result<Vec<UserRow>> {
    let mut query = db.prepare(
        "SELECT users.id, email, plan FROM users LEFT JOIN profiles ON profiles.id = users.id ORDER BY created_at, users.rowid",
    )?;
    let rows = query.query_map([], |row| Ok(UserRow { id: row.get(0)?, email: row.get(1)?, plan: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
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
