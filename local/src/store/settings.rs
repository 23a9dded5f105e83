//! Named values.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _};

/// The origins that pages may call from, as the dashboard left them: one a line.
pub(crate) const ORIGINS: &str = "origins";
/// `on` while the kill switch is.
pub(crate) const KILLED: &str = "killed";
/// `on` while the limits of tiers are enforced.
pub(crate) const TIER_LIMITS: &str = "tier_limits";
/// Faults on demand: one a line.
pub(crate) const FAULTS: &str = "faults";
/// Where the servers that use the data file are: the URL of their gateway.
pub(crate) const RUNNING: &str = "running";

pub(crate) fn get(db: &Connection, name: &str) -> Result<Option<String>> {
    Ok(db.query_row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0)).optional()?)
}

/// Sets a value, or takes it away.
pub(crate) fn set(db: &Connection, name: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => db.execute("INSERT OR REPLACE INTO settings VALUES (?1, ?2)", [name, value])?,
        None => db.execute("DELETE FROM settings WHERE name = ?1", [name])?,
    };
    Ok(())
}

/// The value, made and kept if there is none.
pub(crate) fn get_or_make(db: &Connection, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
    if let Some(value) = get(db, name)? {
        return Ok(value);
    }
    let value = make()?;
    set(db, name, Some(&value))?;
    Ok(value)
}
