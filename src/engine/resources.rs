//! The rest of the gateway's data plane: threads, usage, models.

use super::call::Resource;
use crate::text::{percent_encode, push_parameter};
use crate::{Error, Reason};

/// Which usage to report. Dates and times in the forms the gateway documents, such as `2026-11-21` or RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageQuery {
    /// Not before this.
    pub from: Option<String>,
    /// Not after this.
    pub to: Option<String>,
    /// `minute`, `hour` or `day`.
    pub granularity: Option<String>,
}

impl UsageQuery {
    /// All usage that the gateway reports by itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Not before this date or time.
    #[must_use]
    pub fn from(self, from: impl Into<String>) -> Self {
        Self { from: Some(from.into()), ..self }
    }

    /// Not after this date or time.
    #[must_use]
    pub fn to(self, to: impl Into<String>) -> Self {
        Self { to: Some(to.into()), ..self }
    }

    /// By `minute`, `hour` or `day`.
    #[must_use]
    pub fn granularity(self, granularity: impl Into<String>) -> Self {
        Self { granularity: Some(granularity.into()), ..self }
    }
}

impl Resource {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), or_path: None }
    }

    /// One thread; with `"/messages"` its messages.
    pub(crate) fn thread(method: &'static str, id: &str, below: &str) -> Result<Self, Error> {
        // URLs resolve these two away, encoded or not, and then the path is another one.
        if matches!(id, "" | "." | "..") {
            return Err(Error::new(Reason::InvalidRequest, "a thread id cannot be empty, `.` or `..`"));
        }
        let mut path = "/v1/threads/".to_owned();
        percent_encode(id, &mut path);
        path.push_str(below);
        Ok(Self { method, path, or_path: None })
    }

    pub(crate) fn usage(query: &UsageQuery) -> Self {
        let mut text = String::new();
        for (name, value) in [("from", &query.from), ("to", &query.to), ("granularity", &query.granularity)] {
            let Some(value) = value else { continue };
            push_parameter(name, value, &mut text);
        }
        // Both paths are documented; gateways serve one of them.
        let or_path = Some(["/v1/billing/usage", &text].concat());
        Self { or_path, ..Self::get(["/v1/usage", &text].concat()) }
    }
}
