//! Budgets as they are set: who may spend how much.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::domain::limits::{Allowance, BudgetRule, Scope};

/// What this user or session may spend: by a budget of its own, else by the rule for all.
pub(crate) fn allowance(db: &Connection, scope: Scope, subject: &str) -> Result<Option<Allowance>> {
    let mut query = db.prepare_cached(
        "SELECT tokens, cost_nanos FROM budgets WHERE scope = ?1 AND subject IN ('', ?2) ORDER BY subject DESC LIMIT 1",
    )?;
    let rule =
        query.query_row([scope.name(), subject], |row| Ok(Allowance { tokens: row.get(0)?, cost_nanos: row.get(1)? }));
    Ok(rule.optional()?)
}

/// All budgets: the project's, then those of users and sessions, rules of all first.
pub(crate) fn all(db: &Connection) -> Result<Vec<BudgetRule>> {
    let mut query = db.prepare(
        "SELECT scope, subject, tokens, cost_nanos FROM budgets
         ORDER BY CASE scope WHEN 'project' THEN 0 WHEN 'user' THEN 1 ELSE 2 END, subject",
    )?;
    let rows = query.query_map([], |row| {
        let scope: String = row.get(0)?;
        Ok((scope, row.get(1)?, Allowance { tokens: row.get(2)?, cost_nanos: row.get(3)? }))
    })?;
    rows.map(|row| {
        let (scope, subject, allowance) = row?;
        Ok(BudgetRule { scope: scope.parse()?, subject, allowance })
    })
    .collect()
}

/// Sets a budget, or takes it away.
pub(crate) fn set(db: &Connection, scope: Scope, subject: &str, allowance: Option<Allowance>) -> Result<()> {
    match allowance {
        Some(Allowance { tokens, cost_nanos }) => db.execute(
            "INSERT INTO budgets VALUES (?1, ?2, ?3, ?4) ON CONFLICT (scope, subject) DO UPDATE
             SET tokens = excluded.tokens, cost_nanos = excluded.cost_nanos",
            params![scope.name(), subject, tokens, cost_nanos],
        )?,
        None => db.execute("DELETE FROM budgets WHERE scope = ?1 AND subject = ?2", [scope.name(), subject])?,
    };
    Ok(())
}
