//! Usage of all users, for the dashboard.

use anyhow::Result;
use rusqlite::{Connection, params};

use super::usage::Window;

/// Sums of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) requests: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cost_nanos: i64,
    /// Of those requests, how many did not end as they should.
    pub(crate) broken: i64,
}

impl Sums {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            input_tokens: self.input_tokens + other.input_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            cost_nanos: self.cost_nanos + other.cost_nanos,
            broken: self.broken + other.broken,
        }
    }

    pub(crate) const fn tokens(&self) -> i64 {
        self.input_tokens + self.output_tokens
    }
}

/// One line of a table: a user or a model with what it used.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) name: String,
    /// A user's address.
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
    Model,
}

/// Up to this length a window is read row by row; beyond, from the sums that are kept.
const SHORT_MS: i64 = 7_200_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

const OF_ROWS: &str = "count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), \
     coalesce(sum(cost_nanos), 0), coalesce(sum(outcome IN ('truncated', 'aborted', 'failed')), 0)";
const OF_SUMS: &str = "sum(requests), sum(input_tokens), sum(output_tokens), sum(cost_nanos), sum(broken)";

fn sums(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Sums> {
    Ok(Sums {
        requests: row.get(first)?,
        input_tokens: row.get(first + 1)?,
        output_tokens: row.get(first + 2)?,
        cost_nanos: row.get(first + 3)?,
        broken: row.get(first + 4)?,
    })
}

fn is_short(window: Window) -> bool {
    window.to - window.from <= SHORT_MS
}

/// The largest shares first, at most `limit`. A long window begins with the hour it begins in.
pub(crate) fn shares(db: &Connection, by: By, window: Window, limit: u32) -> Result<Vec<Share>> {
    let (name, table) = match by {
        By::User => ("user_id", "usage_users"),
        By::Model => ("model", "usage_models"),
    };
    let grouped = if is_short(window) {
        format!("SELECT {name} AS name, {OF_ROWS} FROM usage WHERE created_at >= ?1 AND created_at < ?2 GROUP BY 1")
    } else {
        format!("SELECT {name} AS name, {OF_SUMS} FROM {table} WHERE hour >= ?1 AND hour < ?2 GROUP BY 1")
    };
    let unit = if is_short(window) { 1 } else { HOUR_MS };
    let mut query = db.prepare(&format!(
        "SELECT grouped.*, users.email FROM ({grouped} ORDER BY 5 DESC, 1 LIMIT ?3) grouped
         LEFT JOIN users ON users.id = grouped.name"
    ))?;
    let bounds = params![window.from / unit, (window.to - 1) / unit + 1, limit];
    let rows = query.query_map(bounds, |row| Ok(Share { name: row.get(0)?, of: row.get(6)?, sums: sums(row, 1)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A session with all it has used, and when it was used last.
#[derive(Clone, Debug)]
pub(crate) struct SessionUse {
    pub(crate) session_id: String,
    pub(crate) user_id: String,
    pub(crate) email: Option<String>,
    pub(crate) last_used: i64,
    pub(crate) sums: Sums,
}

/// The sessions that were used in the window, the latest first.
pub(crate) fn sessions(db: &Connection, window: Window, limit: u32) -> Result<Vec<SessionUse>> {
    let mut query = db.prepare(
        "SELECT session_id, user_id, users.email, last_used, requests, input_tokens, output_tokens, cost_nanos, broken
         FROM usage_sessions LEFT JOIN users ON users.id = user_id WHERE last_used >= ?1 AND last_used < ?2
         ORDER BY last_used DESC LIMIT ?3",
    )?;
    let rows = query.query_map(params![window.from, window.to, limit], |row| {
        Ok(SessionUse {
            session_id: row.get(0)?,
            user_id: row.get(1)?,
            email: row.get(2)?,
            last_used: row.get(3)?,
            sums: sums(row, 4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sums of `count` slices of the window, empty ones too.
pub(crate) fn slices(db: &Connection, window: Window, count: usize) -> Result<Vec<Sums>> {
    let mut slices = vec![Sums::default(); count];
    let width = ((window.to - window.from) / i64::try_from(count)?.max(1)).max(1);
    let query = if is_short(window) {
        format!(
            "SELECT (created_at - ?1) / ?3 AS slice, {OF_ROWS} FROM usage WHERE created_at >= ?1 AND created_at < ?2"
        )
    } else {
        format!(
            "SELECT (minute * {MINUTE_MS} - ?1) / ?3 AS slice, {OF_SUMS} FROM usage_minutes
             WHERE minute >= ?1 / {MINUTE_MS} AND minute < ?2 / {MINUTE_MS} + 1"
        )
    };
    let mut query = db.prepare(&format!("{query} GROUP BY slice"))?;
    let rows =
        query.query_map(params![window.from, window.to, width], |row| Ok((row.get::<_, i64>(0)?, sums(row, 1)?)))?;
    for row in rows {
        let (at, sums) = row?;
        let at = usize::try_from(at)?.min(count.saturating_sub(1));
        if let Some(slice) = slices.get_mut(at) {
            *slice = slice.plus(sums);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::usage::{self, UsageRow};

    /// Long windows are read from sums, short ones row by row: both must say the same.
    #[tokio::test]
    async fn sums_say_what_rows_say() {
        let store = Store::open(None).await.unwrap();
        let now = 1_000 * HOUR_MS;
        let rows = (0..300_i64).map(move |n| UsageRow {
            request_id: n.to_string(),
            user_id: format!("user-{}", n % 5),
            session_id: format!("session-{}", n % 50),
            model: format!("model-{}", n % 3),
            input_tokens: n,
            output_tokens: 2 * n,
            cost_nanos: 5 * n,
            source: "counted".to_owned(),
            outcome: if n % 10 == 0 { "aborted" } else { "complete" }.to_owned(),
            created_at: now - n * 7 * MINUTE_MS,
        });
        let read = move |db: &rusqlite::Transaction<'_>| {
            rows.clone().try_for_each(|row| usage::add(db, &row))?;
            let all = Window { from: 0, to: now + 1 };
            let whole = db.query_row(&format!("SELECT {OF_ROWS} FROM usage"), [], |row| sums(row, 0))?;
            let of_slices = slices(db, all, 48)?.into_iter().fold(Sums::default(), Sums::plus);
            assert_eq!(of_slices, whole);
            for by in [By::User, By::Model] {
                let of_shares =
                    shares(db, by, all, 100)?.iter().map(|share| share.sums).fold(Sums::default(), Sums::plus);
                assert_eq!(of_shares, whole, "{by:?}");
            }
            let latest = sessions(db, all, 100)?;
            assert_eq!(latest.iter().map(|session| session.sums).fold(Sums::default(), Sums::plus), whole);
            assert_eq!((latest.len(), latest[0].session_id.as_str(), latest[0].last_used), (50, "session-0", now));
            let hour = Window { from: now - HOUR_MS, to: now + 1 };
            let of_hour = slices(db, hour, 48)?.into_iter().fold(Sums::default(), Sums::plus);
            assert_eq!((of_hour.requests, of_hour.broken), (9, 1), "every seventh minute of an hour");
            Ok(())
        };
        store.run(read).await.unwrap();
    }
}
