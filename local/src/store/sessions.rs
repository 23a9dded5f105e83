//! Sign-in sessions and their rotating refresh tokens.

use std::time::Duration;

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::flows;
use super::users::{self, User};
use crate::domain::random;

/// A signed-in user, with the refresh token to hand out.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) user: User,
    pub(crate) session_id: String,
    /// How the session began: `password` or `anonymous`.
    pub(crate) method: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub(crate) since: i64,
    pub(crate) refresh_token: String,
}

/// What a refresh token is good for.
#[derive(Debug)]
pub(crate) enum Refreshed {
    Granted(Box<Grant>),
    NotFound,
    /// It was used before, outside what is tolerated: its whole family is revoked now.
    AlreadyUsed,
}

/// Which sessions a sign-out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignOut {
    Global,
    Local,
    Others,
}

/// Begins a session for `user`.
pub(crate) fn start(db: &Connection, mut user: User, method: &str, now: i64) -> Result<Grant> {
    let session_id = Uuid::new_v4().to_string();
    db.execute("INSERT INTO sessions VALUES (?1, ?2, ?3, ?4)", params![session_id, user.id, method, now])?;
    db.execute("UPDATE users SET last_sign_in_at = ?2, updated_at = ?2 WHERE id = ?1", params![user.id, now])?;
    user.last_sign_in_at = Some(now);
    user.updated_at = now;
    let refresh_token = add_token(db, &session_id, None, now)?;
    Ok(Grant { user, session_id, method: method.to_owned(), since: now, refresh_token })
}

fn add_token(db: &Connection, session_id: &str, parent: Option<&str>, now: i64) -> Result<String> {
    let token = random::word::<12>()?;
    db.execute(
        "INSERT INTO refresh_tokens (token, session_id, parent, updated_at) VALUES (?1, ?2, ?3, ?4)",
        params![token, session_id, parent, now],
    )?;
    Ok(token)
}

/// Exchanges a refresh token.
///
/// A token that was rotated away is still honoured if it is the parent of the current one (the client never
/// received the reply; the current token is returned), or within `reuse_interval` of its rotation
/// (two tabs refreshed at once; both get a token). Anything else is theft, or looks like it.
pub(crate) fn refresh(db: &Connection, token: &str, reuse_interval: Duration, now: i64) -> Result<Refreshed> {
    let found = db
        .query_row(
            "SELECT t.revoked, t.updated_at, t.session_id, s.user_id, s.method, s.created_at
             FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.token = ?1",
            [token],
            |row| {
                let owner: (String, String, String, i64) = (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
                Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, owner))
            },
        )
        .optional()?;
    let Some((revoked, updated_at, (session_id, user_id, method, since))) = found else {
        return Ok(Refreshed::NotFound);
    };
    let Some(user) = users::by_id(db, &user_id)? else { return Ok(Refreshed::NotFound) };
    let grant = |refresh_token| {
        Ok(Refreshed::Granted(Box::new(Grant { user, session_id: session_id.clone(), method, since, refresh_token })))
    };
    if revoked {
        let current: Option<(String, Option<String>)> = db
            .query_row(
                "SELECT token, parent FROM refresh_tokens WHERE session_id = ?1 AND NOT revoked ORDER BY id DESC LIMIT 1",
                [&session_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        if let Some((current, Some(parent))) = current
            && parent == token
        {
            return grant(current);
        }
        let interval = i64::try_from(reuse_interval.as_millis()).unwrap_or(i64::MAX);
        if now > updated_at.saturating_add(interval) {
            // Dated to the beginning of time, so that no token of the family falls within the interval again.
            db.execute("UPDATE refresh_tokens SET revoked = 1, updated_at = 0 WHERE session_id = ?1", [&session_id])?;
            return Ok(Refreshed::AlreadyUsed);
        }
    } else {
        db.execute("UPDATE refresh_tokens SET revoked = 1, updated_at = ?2 WHERE token = ?1", params![token, now])?;
    }
    grant(add_token(db, &session_id, Some(token), now)?)
}

/// A new password ends what the former one may have let in: every session but the one that asks, and a code on its way.
pub(crate) fn end_for_new_password(db: &Connection, user: &User, session_id: &str) -> Result<()> {
    end(db, SignOut::Others, &user.id, session_id)?;
    user.email.as_deref().map_or(Ok(()), |email| flows::drop_code(db, email))
}

/// Does this session of this user still stand?
pub(crate) fn stands(db: &Connection, session_id: &str, user_id: &str) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND user_id = ?2)";
    Ok(db.query_row(query, [session_id, user_id], |row| row.get(0))?)
}

/// Ends sessions of a user; `session_id` is the one that asks.
pub(crate) fn end(db: &Connection, scope: SignOut, user_id: &str, session_id: &str) -> Result<()> {
    match scope {
        SignOut::Global => db.execute("DELETE FROM sessions WHERE user_id = ?1", [user_id]),
        SignOut::Local => db.execute("DELETE FROM sessions WHERE user_id = ?1 AND id = ?2", [user_id, session_id]),
        SignOut::Others => db.execute("DELETE FROM sessions WHERE user_id = ?1 AND id <> ?2", [user_id, session_id]),
    }?;
    Ok(())
}
