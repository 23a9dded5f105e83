//! The latest requests, all or those that a filter lets through.

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::card::Card;
use super::format::{Ids, ago, none};
use super::state::Dashboard;
use super::view::{STATUSES, View};
use crate::domain::activity::Served;

const LINES: usize = 60;

/// What is shown of all that was asked.
pub(super) fn filter(view: &View) -> Markup {
    let text = |name: &str, label: &str, value: &str| {
        html! {
            label { (label) input name=(name) value=(value) placeholder="any, or a part" autocomplete="off" spellcheck="false"; }
        }
    };
    html! {
        form.card.filter method="get" action="/dashboard/requests" role="search" aria-label="Requests shown" {
            (text("user", "User", &view.user))
            (text("session", "Session", &view.session))
            label {
                "Status"
                select name="status" {
                    @for (value, text) in STATUSES {
                        option value=(value) selected[value == view.status] { (text) }
                    }
                }
            }
            button.primary { "Show" }
            a href="/dashboard/requests" { "Show all" }
        }
    }
}

pub(super) fn render(dashboard: &Dashboard, view: &View) -> Markup {
    let now = dashboard.shared.clock.now_ms();
    let log = dashboard.shared.activity.log();
    let shown: Vec<&Served> = log.served.iter().filter(|served| view.shows(served)).take(LINES).collect();
    table("Latest requests", "requests", &shown, now, "Nothing was asked, or nothing that the filter lets through.")
}

/// The latest ones that were not answered.
pub(super) fn refusals(dashboard: &Dashboard, now: i64, lines: usize) -> Markup {
    let log = dashboard.shared.activity.log();
    let shown: Vec<&Served> = log.served.iter().filter(|served| served.status >= 400).take(lines).collect();
    table("Refused and failed", "failures", &shown, now, "Every request was answered.")
}

fn table(title: &str, name: &str, shown: &[&Served], now: i64, empty: &str) -> Markup {
    let users = Ids::of(shown.iter().filter_map(|served| served.user_id.as_deref()));
    let sessions = Ids::of(shown.iter().filter_map(|served| served.session_id.as_deref()));
    let row = |row: &&Served| {
        let code = row.refusal.as_ref().map(|refusal| refusal.code.as_str()).unwrap_or_default();
        vec![
            ago(row.at, now),
            html! { a href={ "/dashboard/requests/" (row.id) } { code { (row.method) " " (row.path) } } },
            html! { span { (status(row.status)) " " span.small.muted { (code) } } },
            html! { (row.ms.to_string()) " ms" },
            row.user_id.as_deref().map_or_else(none, |id| users.show(id)),
            row.session_id.as_deref().map_or_else(none, |id| sessions.show(id)),
        ]
    };
    let columns = &["When", "Request", "Status", "First byte", "User", "Session"];
    Card { title, name, wide: true, columns, empty }.of(&shown.iter().map(row).collect::<Vec<_>>())
}

/// Where the requests of one user or session are shown, whose id may hold whatever an address gives a meaning to.
pub(super) fn of(name: &str, id: &str) -> String {
    format!("/dashboard/requests?{name}={}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

pub(super) fn status(status: u16) -> Markup {
    let tone = match status {
        ..400 => "good",
        400..500 => "warn",
        _ => "bad",
    };
    html! { span class={ "status " (tone) } { (status) } }
}
