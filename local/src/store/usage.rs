//! What each chat cost, by user and by session.

use anyhow::Result;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::budgets;
use crate::domain::clock::rfc3339;
use crate::domain::limits::{Allowance, Scope};

/// One chat, as it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageRow {
    /// The gateway's id of the request, also sent as `X-Trace-Id`.
    pub request_id: String,
    /// The token's user.
    pub user_id: String,
    /// `X-Session-Id` if it was sent, otherwise the token's `sid`.
    pub session_id: String,
    /// The model that answered.
    pub model: String,
    /// Tokens of the prompt.
    pub input_tokens: i64,
    /// Tokens of the answer, as far as it was passed on.
    pub output_tokens: i64,
    /// Billionths of a US dollar.
    pub cost_nanos: i64,
    /// `counted` by the model's server, or `estimated` here.
    pub source: String,
    /// `complete`, `length`, `content_filter`, `tool_calls`, `truncated`, `aborted` or `failed`.
    pub outcome: String,
    /// The end of the chat in milliseconds since the Unix epoch.
    pub created_at: i64,
}

/// From (inclusive) and to (exclusive), in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Totals {
    pub(crate) requests: i64,
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) cost_usd: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModelShare {
    model: String,
    #[serde(flatten)]
    totals: Totals,
}

#[derive(Debug, Serialize)]
pub(crate) struct SessionShare {
    session_id: String,
    #[serde(flatten)]
    totals: Totals,
    last_used_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
}

/// What a session may spend; whichever is reached first counts.
#[derive(Debug, Serialize)]
struct Budget {
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

impl From<Allowance> for Budget {
    fn from(Allowance { tokens, cost_nanos }: Allowance) -> Self {
        Self { tokens, cost_usd: cost_nanos.map(dollars) }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Slice {
    timestamp: String,
    tokens: i64,
    cost_usd: f64,
}

pub(crate) fn add(db: &Connection, row: &UsageRow) -> Result<()> {
    db.execute(
        "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            row.request_id,
            row.user_id,
            row.session_id,
            row.model,
            row.input_tokens,
            row.output_tokens,
            row.cost_nanos,
            row.source,
            row.outcome,
            row.created_at
        ],
    )?;
    Ok(())
}

/// Every row, oldest first.
pub(crate) fn all(db: &Connection) -> Result<Vec<UsageRow>> {
    within(db, Window { from: i64::MIN, to: i64::MAX })
}

/// The rows of a window, oldest first.
pub(crate) fn within(db: &Connection, window: Window) -> Result<Vec<UsageRow>> {
    let query = "SELECT * FROM usage WHERE created_at >= ?1 AND created_at < ?2 ORDER BY created_at, rowid";
    let mut query = db.prepare(query)?;
    let rows = query.query_map([window.from, window.to], |row| {
        Ok(UsageRow {
            request_id: row.get("request_id")?,
            user_id: row.get("user_id")?,
            session_id: row.get("session_id")?,
            model: row.get("model")?,
            input_tokens: row.get("input_tokens")?,
            output_tokens: row.get("output_tokens")?,
            cost_nanos: row.get("cost_nanos")?,
            source: row.get("source")?,
            outcome: row.get("outcome")?,
            created_at: row.get("created_at")?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const SUMS: &str =
    "count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost_nanos), 0)";
const MINE: &str = "FROM usage WHERE user_id = ?1 AND created_at >= ?2 AND created_at < ?3";

fn sums(row: &Row<'_>, first: usize) -> rusqlite::Result<Totals> {
    Ok(Totals {
        requests: row.get(first)?,
        input_tokens: row.get(first + 1)?,
        output_tokens: row.get(first + 2)?,
        cost_usd: dollars(row.get(first + 3)?),
    })
}

fn dollars(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

pub(crate) fn totals(db: &Connection, user: &str, window: Window) -> Result<Totals> {
    let query = format!("SELECT {SUMS} {MINE}");
    Ok(db.query_row(&query, params![user, window.from, window.to], |row| sums(row, 0))?)
}

pub(crate) fn by_model(db: &Connection, user: &str, window: Window) -> Result<Vec<ModelShare>> {
    let mut query = db.prepare(&format!("SELECT model, {SUMS} {MINE} GROUP BY model ORDER BY model"))?;
    let rows = query.query_map(params![user, window.from, window.to], |row| {
        Ok(ModelShare { model: row.get(0)?, totals: sums(row, 1)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The user's sessions, last used first, with their budgets.
pub(crate) fn by_session(db: &Connection, user: &str, window: Window) -> Result<Vec<SessionShare>> {
    let mut query = db.prepare(&format!(
        "SELECT session_id, {SUMS}, max(created_at) {MINE} GROUP BY session_id ORDER BY max(created_at) DESC, max(rowid) DESC"
    ))?;
    let rows = query.query_map(params![user, window.from, window.to], |row| {
        let last_used_at = rfc3339(row.get(5)?);
        Ok(SessionShare { session_id: row.get(0)?, totals: sums(row, 1)?, last_used_at, budget: None })
    })?;
    let mut sessions: Vec<SessionShare> = rows.collect::<Result<_, _>>()?;
    for session in &mut sessions {
        session.budget = budgets::allowance(db, Scope::Session, &session.session_id)?.map(Into::into);
    }
    Ok(sessions)
}

/// Use over time in slices of `width_ms`, empty ones left out.
pub(crate) fn by_time(db: &Connection, user: &str, window: Window, width_ms: i64) -> Result<Vec<Slice>> {
    let mut query = db.prepare(&format!(
        "SELECT created_at / ?4 * ?4 AS slice, sum(input_tokens + output_tokens), sum(cost_nanos) {MINE} \
         GROUP BY slice ORDER BY slice"
    ))?;
    let rows = query.query_map(params![user, window.from, window.to, width_ms], |row| {
        Ok(Slice { timestamp: rfc3339(row.get(0)?), tokens: row.get(1)?, cost_usd: dollars(row.get(2)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
