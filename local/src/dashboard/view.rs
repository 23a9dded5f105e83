//! The part of the address that says what is shown.

use anyhow::Result;
use rusqlite::Connection;
use serde::Deserialize;

use crate::domain::activity::Served;
use crate::store::report;
use crate::store::usage::Window;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    window: String,
    /// The name of what the last form did.
    pub(super) notice: String,
    pub(super) user: String,
    pub(super) session: String,
    pub(super) status: String,
}

pub(super) const WINDOWS: [(&str, &str, i64); 4] = [
    ("15m", "15 minutes", 900_000),
    ("24h", "24 hours", 86_400_000),
    ("7d", "7 days", 604_800_000),
    ("all", "Everything", 0),
];

/// Which statuses a filter lets through.
pub(super) const STATUSES: [(&str, &str); 4] =
    [("", "all"), ("good", "answered"), ("refused", "refused (4xx)"), ("failed", "failed (5xx)")];

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

    /// Does the filter let this request through? Parts of ids are enough.
    pub(super) fn shows(&self, served: &Served) -> bool {
        let holds = |id: &Option<String>, part: &str| {
            part.is_empty() || id.as_deref().is_some_and(|id| id.contains(part.trim()))
        };
        // Preflights that went well are half of what a page asks, and say nothing.
        let is_preflight = served.method == "OPTIONS" && served.status < 400;
        let status = match self.status.as_str() {
            "good" => served.status < 400,
            "refused" => (400..500).contains(&served.status),
            "failed" => served.status >= 500,
            _ => true,
        };
        !is_preflight && status && holds(&served.user_id, &self.user) && holds(&served.session_id, &self.session)
    }
}
