//! What may be spent, what is spent, and what running chats may still spend.
//!
//! Every function works within the caller's transaction, so that a check and the reservation that follows it are one step.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::budgets;
use super::usage::{self, UsageRow};
use crate::domain::limits::{Allowance, Amount, BudgetRule, Scope};

const DAY_MS: i64 = 86_400_000;

/// A chat that asks to be let through.
#[derive(Clone, Debug)]
pub(crate) struct Reservation {
    pub(crate) request_id: String,
    pub(crate) user_id: String,
    pub(crate) session_id: String,
    pub(crate) model: String,
    /// The most it can use.
    pub(crate) size: Amount,
}

/// A budget that applies to a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) scope: Scope,
    pub(crate) allowance: Allowance,
    /// By chats that have ended.
    pub(crate) spent: Amount,
    /// What running chats may still use.
    pub(crate) reserved: Amount,
}

/// What a user did today.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Today {
    pub(crate) requests: i64,
    /// Of chats that have ended.
    pub(crate) tokens: i64,
    /// What running chats may still use.
    pub(crate) reserved: i64,
}

/// Forgets the reservations of a server that was killed.
pub(crate) fn clear_reservations(db: &Connection) -> Result<()> {
    db.execute("DELETE FROM reservations", [])?;
    Ok(())
}

pub(crate) fn today(db: &Connection, user: &str, now: i64) -> Result<Today> {
    let query = "SELECT requests, tokens FROM days WHERE user_id = ?1 AND day = ?2";
    let row = db.query_row(query, params![user, now.div_euclid(DAY_MS)], |row| Ok((row.get(0)?, row.get(1)?)));
    let (requests, tokens) = row.optional()?.unwrap_or_default();
    Ok(Today { requests, tokens, reserved: reserved(db, Some(user), None)?.tokens })
}

/// Every budget that applies to the chat.
pub(crate) fn balances(db: &Connection, chat: &Reservation) -> Result<Vec<Balance>> {
    let balance = |(scope, allowance)| {
        let (user, session) = match scope {
            Scope::Project => (None, None),
            Scope::User => (Some(chat.user_id.as_str()), None),
            Scope::Session => (Some(chat.user_id.as_str()), Some(chat.session_id.as_str())),
        };
        Ok(Balance { scope, allowance, spent: spent(db, user, session)?, reserved: reserved(db, user, session)? })
    };
    rules(db, chat)?.into_iter().map(balance).collect()
}

fn rules(db: &Connection, ask: &Reservation) -> Result<Vec<(Scope, Allowance)>> {
    let mut rules = Vec::new();
    for scope in Scope::ALL {
        let subject = match scope {
            Scope::Project => "",
            Scope::User => &ask.user_id,
            Scope::Session => &ask.session_id,
        };
        rules.extend(budgets::allowance(db, scope, subject)?.map(|allowance| (scope, allowance)));
    }
    Ok(rules)
}

/// What was spent by the project, by a user, or by a user's session.
pub(crate) fn spent(db: &Connection, user: Option<&str>, session: Option<&str>) -> Result<Amount> {
    let mut query = db.prepare_cached("SELECT tokens, cost_nanos FROM spent WHERE user_id = ?1 AND session_id = ?2")?;
    let key = [user.unwrap_or_default(), session.unwrap_or_default()];
    Ok(query
        .query_row(key, |row| Ok(Amount { tokens: row.get(0)?, cost_nanos: row.get(1)? }))
        .optional()?
        .unwrap_or_default())
}

fn reserved(db: &Connection, user: Option<&str>, session: Option<&str>) -> Result<Amount> {
    let mut query = db.prepare_cached(
        "SELECT coalesce(sum(tokens), 0), coalesce(sum(cost_nanos), 0) FROM reservations
         WHERE (?1 IS NULL OR user_id = ?1) AND (?2 IS NULL OR session_id = ?2)",
    )?;
    Ok(query.query_row(params![user, session], |row| Ok(Amount { tokens: row.get(0)?, cost_nanos: row.get(1)? }))?)
}

/// Lets a chat through, and counts it for today.
pub(crate) fn reserve(db: &Connection, ask: &Reservation, now: i64) -> Result<()> {
    db.prepare_cached("INSERT INTO reservations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
        ask.request_id,
        ask.user_id,
        ask.session_id,
        ask.model,
        ask.size.tokens,
        ask.size.cost_nanos,
        now
    ])?;
    count_today(db, &ask.user_id, 1, 0, now)
}

/// Gives back what a chat that never ran had reserved.
pub(crate) fn release(db: &Connection, request_id: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM reservations WHERE request_id = ?1")?.execute([request_id])?;
    Ok(())
}

/// Replaces a reservation by what was really used.
pub(crate) fn settle(db: &Connection, row: &UsageRow) -> Result<()> {
    release(db, &row.request_id)?;
    usage::add(db, row)?;
    let tokens = row.input_tokens.saturating_add(row.output_tokens);
    let mut add = db.prepare_cached(
        "INSERT INTO spent VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id, session_id) DO UPDATE
         SET tokens = tokens + excluded.tokens, cost_nanos = cost_nanos + excluded.cost_nanos",
    )?;
    for (user, session) in [("", ""), (&row.user_id, ""), (&row.user_id, row.session_id.as_str())] {
        add.execute(params![user, session, tokens, row.cost_nanos])?;
    }
    count_today(db, &row.user_id, 0, tokens, row.created_at)
}

fn count_today(db: &Connection, user: &str, requests: i64, tokens: i64, now: i64) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO days VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id, day) DO UPDATE
         SET requests = requests + excluded.requests, tokens = tokens + excluded.tokens",
    )?
    .execute(params![user, now.div_euclid(DAY_MS), requests, tokens])?;
    Ok(())
}

/// What was spent of a budget; `None` for a rule that stands for many users or sessions.
pub(crate) fn spent_of(db: &Connection, rule: &BudgetRule) -> Result<Option<Amount>> {
    let subject = rule.subject.as_str();
    Ok(match (rule.scope, subject) {
        (Scope::Project, _) => Some(spent(db, None, None)?),
        (_, "") => None,
        (Scope::User, user) => Some(spent(db, Some(user), None)?),
        (Scope::Session, session) => {
            // Of the user who spent most in a session of this name: the budget is each one's own.
            let query =
                "SELECT coalesce(max(tokens), 0), coalesce(max(cost_nanos), 0) FROM spent WHERE session_id = ?1";
            let amount = |row: &rusqlite::Row<'_>| Ok(Amount { tokens: row.get(0)?, cost_nanos: row.get(1)? });
            Some(db.query_row(query, [session], amount)?)
        }
    })
}
