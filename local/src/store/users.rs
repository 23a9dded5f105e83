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
    /// What administrators say of the user, beside the provider.
    pub(crate) app_metadata: Value,
    /// Until then no session is given out.
    pub(crate) banned_until: Option<i64>,
    /// Who vouched for the address: `email`, or a provider's name.
    pub(crate) provider: String,
    /// The database's role of the user's requests.
    pub(crate) role: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) last_sign_in_at: Option<i64>,
}

impl User {
    pub(crate) fn is_anonymous(&self) -> bool {
        self.email.is_none()
    }

    pub(crate) fn is_banned(&self, now: i64) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let metadata: String = row.get("metadata")?;
        let app_metadata: String = row.get("app_metadata")?;
        Ok(Self {
            id: row.get("id")?,
            email: row.get("email")?,
            password_hash: row.get("password_hash")?,
            metadata: serde_json::from_str(&metadata).unwrap_or_default(),
            app_metadata: serde_json::from_str(&app_metadata).unwrap_or_default(),
            banned_until: row.get("banned_until")?,
            provider: row.get("provider")?,
            role: row.get("role")?,
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
    add_as(db, &Uuid::new_v4().to_string(), email, password_hash, metadata, now)
}

/// Adds a user of this id with a profile; `None` if the id or the address is taken.
pub(crate) fn add_as(
    db: &Connection,
    id: &str,
    email: Option<&str>,
    password_hash: Option<&str>,
    metadata: &Value,
    now: i64,
) -> Result<Option<User>> {
    if by_id(db, id)?.is_some() || email.map_or(Ok(None), |email| by_email(db, email))?.is_some() {
        return Ok(None);
    }
    db.execute(
        "INSERT INTO users (id, email, password_hash, metadata, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![id, email, password_hash, metadata.to_string(), now],
    )?;
    set_plan(db, id, Some(FIRST_PLAN))?;
    by_id(db, id)
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
    pub(crate) app_metadata: Option<Value>,
    pub(crate) role: Option<String>,
    /// A ban, or its end.
    pub(crate) banned_until: Option<Option<i64>>,
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
         metadata = coalesce(?4, metadata), app_metadata = coalesce(?5, app_metadata), role = coalesce(?6, role),
         updated_at = ?7 WHERE id = ?1",
        params![
            id,
            changes.email,
            changes.password_hash,
            changes.metadata.as_ref().map(Value::to_string),
            changes.app_metadata.as_ref().map(Value::to_string),
            changes.role,
            now
        ],
    )?;
    if let Some(until) = changes.banned_until {
        db.execute("UPDATE users SET banned_until = ?2 WHERE id = ?1", params![id, until])?;
    }
    by_id(db, id)
}

/// Deletes a user with sessions and profile; `false` if there is none.
pub(crate) fn delete(db: &Connection, id: &str) -> Result<bool> {
    Ok(db.execute("DELETE FROM users WHERE id = ?1", [id])? > 0)
}

/// Users, the newest first, from `offset` on, and how many there are.
pub(crate) fn page(db: &Connection, offset: i64, limit: i64) -> Result<(Vec<User>, i64)> {
    let mut query = db.prepare("SELECT * FROM users ORDER BY created_at DESC, rowid DESC LIMIT ?2 OFFSET ?1")?;
    let users = query.query_map([offset, limit], User::read)?.collect::<Result<_, _>>()?;
    Ok((users, db.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?))
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
    /// When the user came, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// The latest sign-in.
    pub last_sign_in_at: Option<i64>,
    /// Until then the user is banned.
    pub banned_until: Option<i64>,
}

const ROW: &str = "SELECT users.id, email, plan, created_at, last_sign_in_at, banned_until FROM users
     LEFT JOIN profiles ON profiles.id = users.id";

impl UserRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            email: row.get(1)?,
            plan: row.get(2)?,
            created_at: row.get(3)?,
            last_sign_in_at: row.get(4)?,
            banned_until: row.get(5)?,
        })
    }
}

/// The users who came last, the newest first, and how many there are.
pub(crate) fn latest(db: &Connection, limit: u32) -> Result<(Vec<UserRow>, i64)> {
    let mut query = db.prepare(&format!("{ROW} ORDER BY users.rowid DESC LIMIT ?1"))?;
    let rows = query.query_map([limit], UserRow::read)?.collect::<Result<_, _>>()?;
    Ok((rows, db.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?))
}

/// All users with their plans, oldest first.
pub(crate) fn all(db: &Connection) -> Result<Vec<UserRow>> {
    let mut query = db.prepare(&format!("{ROW} ORDER BY created_at, users.rowid"))?;
    Ok(query.query_map([], UserRow::read)?.collect::<Result<_, _>>()?)
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

/// A row of `profiles`: whose it is, and the plan.
pub(crate) type Profile = (String, Option<String>);

/// The profiles that a request may see: one user's, or all, in the order they came.
pub(crate) fn profiles(db: &Connection, of: Option<&str>) -> Result<Vec<Profile>> {
    let mut query = db.prepare_cached("SELECT id, plan FROM profiles WHERE ?1 IS NULL OR id = ?1 ORDER BY rowid")?;
    Ok(query.query_map([of], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

/// Sets the plan, adding the profile if there is none. Fails for an unknown user.
pub(crate) fn set_plan(db: &Connection, id: &str, plan: Option<&str>) -> Result<()> {
    db.execute(
        "INSERT INTO profiles (id, plan) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET plan = excluded.plan",
        params![id, plan],
    )?;
    Ok(())
}
