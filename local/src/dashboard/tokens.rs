//! Minted tokens, and the mail that was not sent.

use maud::{Markup, html};

use super::card::Card;
use super::format::{Ids, ago};
use super::state::Dashboard;
use crate::domain::activity::Minted;
use crate::domain::mail::Letter;

const LINES: usize = 25;

pub(super) fn render(dashboard: &Dashboard) -> Markup {
    let now = dashboard.shared.clock.now_ms();
    html! { (mints(dashboard, now)) (mail(dashboard, now)) }
}

fn mints(dashboard: &Dashboard, now: i64) -> Markup {
    let log = dashboard.shared.activity.log();
    let (users, sessions) =
        (Ids::of(log.minted.iter().map(|row| &*row.user_id)), Ids::of(log.minted.iter().map(|row| &*row.session_id)));
    let row = |row: &Minted| {
        let tier = match row.tier {
            None => "—".to_owned(),
            Some(1) => "1 free".to_owned(),
            Some(2) => "2 pro".to_owned(),
            Some(3) => "3 max".to_owned(),
            Some(other) => other.to_string(),
        };
        let (user, session) = (users.show(&row.user_id), sessions.show(&row.session_id));
        vec![ago(row.at, now), user, session, html! { (tier) }, html! { (row.ttl) " s" }]
    };
    let rows: Vec<_> = log.minted.iter().take(LINES).map(row).collect();
    let columns = &["When", "User", "Session", "Tier", "Life"];
    let (title, empty) = ("Minted tokens", "No token was minted yet.");
    Card { title, name: "mints", wide: true, columns, empty }.of(&rows)
}

fn mail(dashboard: &Dashboard, now: i64) -> Markup {
    let row = |letter: &Letter| {
        vec![
            ago(letter.sent_at, now),
            html! { (letter.to) },
            html! { code.code { (letter.code) } },
            html! { a href=(letter.link) rel="noreferrer" { "Open the link" span.visually-hidden { " for " (letter.to) } } },
            html! { (letter.purpose) },
        ]
    };
    let rows: Vec<_> = dashboard.shared.mailbox.letters().iter().take(LINES).map(row).collect();
    let columns = &["When", "To", "Code", "Link", "For"];
    let (title, empty) = ("Mail", "No code was sent. Letters stay on this machine.");
    Card { title, name: "mail", wide: true, columns, empty }.of(&rows)
}
