//! The part of the address that says what is shown.

use anyhow::Result;
use rusqlite::Connection;
use serde::Deserialize;

use crate::store::report;
use crate::store::usage::Window;

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct View {
    #[serde(default)]
    window: String,
    /// What the last form did, or why it did nothing.
    pub(super) done: Option<String>,
    pub(super) problem: Option<String>,
}

pub(super) const WINDOWS: [(&str, &str, i64); 4] = [
    ("15m", "15 minutes", 900_000),
    ("24h", "24 hours", 86_400_000),
    ("7d", "7 days", 604_800_000),
    ("all", "Everything", 0),
];

impl View {
    /// The window's name, and its length in milliseconds; 0 for everything.
    pub(super) fn window(&self) -> (&'static str, i64) {
        let known = WINDOWS.iter().find(|(name, ..)| *name == self.window);
        known.map_or(("24h", 86_400_000), |(name, _, length)| (*name, *length))
    }

    /// What the window covers.
    pub(super) fn covers(db: &Connection, length: i64, now: i64) -> Result<Window> {
        let from = if length > 0 { now - length } else { report::first(db)?.unwrap_or(now - 3_600_000) };
        Ok(Window { from, to: now + 1 })
    }
}
