//! The looks of the pages that this program serves itself.

/// Of a plain page.
pub(crate) const PLAIN: &str = concat!(include_str!("../../www/base.css"), include_str!("style.css"));

/// Of the dashboard.
pub(crate) const DASHBOARD: &str =
    concat!(include_str!("../../www/base.css"), include_str!("style.css"), include_str!("dashboard/dashboard.css"));
