//! Stored conversations of the gateway.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::Value;

use crate::domain::clock::rfc3339;
use crate::domain::content::text_of;

const LONGEST_TITLE: usize = 60;

/// A conversation without its messages.
#[derive(Debug, Serialize)]
pub(crate) struct Thread {
    id: String,
    title: String,
    created_at: String,
    last_message_at: String,
}

/// What one chat adds to a thread.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) user_id: String,
    pub(crate) thread_id: String,
    /// It goes on with a thread that had messages.
    pub(crate) continues: bool,
    /// The caller's new messages and the answer, in OpenAI's shape.
    pub(crate) messages: Vec<Value>,
}

fn thread(row: &Row<'_>) -> rusqlite::Result<Thread> {
    Ok(Thread {
        id: row.get("id")?,
        title: row.get("title")?,
        created_at: rfc3339(row.get("created_at")?),
        last_message_at: rfc3339(row.get("last_message_at")?),
    })
}

/// The user's threads, last used first.
pub(crate) fn list(db: &Connection, user: &str) -> Result<Vec<Thread>> {
    let mut query = db.prepare("SELECT * FROM threads WHERE user_id = ?1 ORDER BY last_message_at DESC, rowid DESC")?;
    let rows = query.query_map([user], thread)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn get(db: &Connection, user: &str, id: &str) -> Result<Option<Thread>> {
    let query = "SELECT * FROM threads WHERE user_id = ?1 AND id = ?2";
    Ok(db.query_row(query, [user, id], thread).optional()?)
}

/// The thread's messages with their times, oldest first; empty for an unknown thread.
pub(crate) fn messages(db: &Connection, user: &str, id: &str) -> Result<Vec<(Value, i64)>> {
    let mut query = db
        .prepare_cached("SELECT message, created_at FROM messages WHERE user_id = ?1 AND thread_id = ?2 ORDER BY id")?;
    let rows = query.query_map([user, id], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    rows.map(|row| row.map_err(Into::into).and_then(|(text, at)| Ok((serde_json::from_str(&text)?, at)))).collect()
}

/// Deletes a thread with its messages; false if there is none.
pub(crate) fn delete(db: &Connection, user: &str, id: &str) -> Result<bool> {
    Ok(db.execute("DELETE FROM threads WHERE user_id = ?1 AND id = ?2", [user, id])? > 0)
}

/// Adds a turn, beginning the thread if it is new. One that was deleted while its answer ran stays deleted.
pub(crate) fn append(db: &Connection, turn: &Turn, now: i64) -> Result<()> {
    let Turn { user_id, thread_id, continues, messages } = turn;
    if *continues && get(db, user_id, thread_id)?.is_none() {
        return Ok(());
    }
    db.execute(
        "INSERT INTO threads (user_id, id, title, created_at, last_message_at) VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT (user_id, id) DO UPDATE SET last_message_at = excluded.last_message_at",
        params![user_id, thread_id, title(messages), now],
    )?;
    let mut insert =
        db.prepare_cached("INSERT INTO messages (user_id, thread_id, message, created_at) VALUES (?1, ?2, ?3, ?4)")?;
    for message in messages {
        insert.execute(params![user_id, thread_id, message.to_string(), now])?;
    }
    Ok(())
}

/// The first line of what the user said.
fn title(messages: &[Value]) -> String {
    let is_users = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let content = messages.iter().find(is_users).and_then(|message| message.get("content"));
    let text = content.map(text_of).unwrap_or_default();
    let line = text.trim().lines().next().unwrap_or_default();
    let mut title: String = line.chars().take(LONGEST_TITLE).collect();
    if title.len() < line.len() {
        title.push('…');
    }
    title
}
