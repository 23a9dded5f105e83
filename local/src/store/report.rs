//! Usage of all users, for the dashboard.

use anyhow::Result;
use rusqlite::{Connection, params};

use super::usage::Window;

/// Sums of some rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) requests: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cost_nanos: i64,
    /// Of those requests, how many did not end as they should.
    pub(crate) broken: i64,
}

impl Sums {
    pub(crate) const fn tokens(&self) -> i64 {
        self.input_tokens + self.output_tokens
    }
}

/// One line of a table: a user, a session or a model with what it used.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) name: String,
    /// A user's address, or the user of a session.
    pub(crate) of: Option<String>,
    pub(crate) sums: Sums,
}

/// A chat that is running.
#[derive(Clone, Debug)]
pub(crate) struct RunningChat {
    pub(crate) user_id: String,
    pub(crate) session_id: String,
    pub(crate) model: String,
    pub(crate) since: i64,
}

/// What usage is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    User,
    Session,
    Model,
}

const SUMS: &str = "count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), \
     coalesce(sum(cost_nanos), 0), coalesce(sum(outcome IN ('truncated', 'aborted', 'failed')), 0)";

fn sums(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Sums> {
    Ok(Sums {
        requests: row.get(first)?,
        input_tokens: row.get(first + 1)?,
        output_tokens: row.get(first + 2)?,
        cost_nanos: row.get(first + 3)?,
        broken: row.get(first + 4)?,
    })
}

pub(crate) fn totals(db: &Connection, window: Window) -> Result<Sums> {
    let query = format!("SELECT {SUMS} FROM usage WHERE created_at >= ?1 AND created_at < ?2");
    Ok(db.query_row(&query, params![window.from, window.to], |row| sums(row, 0))?)
}

/// The largest shares first, at most `limit`.
pub(crate) fn shares(db: &Connection, by: By, window: Window, limit: u32) -> Result<Vec<Share>> {
    let (name, of, group) = match by {
        By::User => ("usage.user_id", "users.email", "usage.user_id"),
        By::Session => ("usage.session_id", "coalesce(users.email, usage.user_id)", "usage.user_id, usage.session_id"),
        By::Model => ("usage.model", "NULL", "usage.model"),
    };
    let mut query = db.prepare(&format!(
        "SELECT {name}, {of}, {SUMS} FROM usage LEFT JOIN users ON users.id = usage.user_id
         WHERE usage.created_at >= ?1 AND usage.created_at < ?2
         GROUP BY {group} ORDER BY sum(cost_nanos) DESC, {name} LIMIT ?3"
    ))?;
    let rows = query.query_map(params![window.from, window.to, limit], |row| {
        Ok(Share { name: row.get(0)?, of: row.get(1)?, sums: sums(row, 2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sums of `count` slices of the window, empty ones too.
pub(crate) fn slices(db: &Connection, window: Window, count: usize) -> Result<Vec<Sums>> {
    let mut slices = vec![Sums::default(); count];
    let width = ((window.to - window.from) / i64::try_from(count)?.max(1)).max(1);
    let mut query = db.prepare(&format!(
        "SELECT (created_at - ?1) / ?3 AS slice, {SUMS} FROM usage WHERE created_at >= ?1 AND created_at < ?2 GROUP BY slice"
    ))?;
    let rows =
        query.query_map(params![window.from, window.to, width], |row| Ok((row.get::<_, i64>(0)?, sums(row, 1)?)))?;
    for row in rows {
        let (at, sums) = row?;
        let at = usize::try_from(at)?.min(count.saturating_sub(1));
        if let Some(slice) = slices.get_mut(at) {
            *slice = sums;
        }
    }
    Ok(slices)
}

/// When the first row was written.
pub(crate) fn first(db: &Connection) -> Result<Option<i64>> {
    Ok(db.query_row("SELECT min(created_at) FROM usage", [], |row| row.get(0))?)
}

/// Running chats, the oldest first.
pub(crate) fn running(db: &Connection) -> Result<Vec<RunningChat>> {
    let mut query =
        db.prepare("SELECT user_id, session_id, model, created_at FROM reservations ORDER BY created_at")?;
    let rows = query.query_map([], |row| {
        Ok(RunningChat { user_id: row.get(0)?, session_id: row.get(1)?, model: row.get(2)?, since: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
