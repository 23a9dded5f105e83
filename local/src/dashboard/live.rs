//! The part of the page that changes by itself.

use axum::extract::{Query, State};
use maud::{Markup, html};

use super::chart;
use super::format::{ago, dollars, id, none, number, table};
use super::state::{Dashboard, Failure};
use super::view::View;
use crate::domain::activity::{Minted, Refused, Served};
use crate::domain::clock::rfc3339;
use crate::domain::mail::Letter;
use crate::store::report::{self, By, RunningChat, Share, Sums};
use crate::store::usage::Window;

const SLICES: usize = 48;
const LONGEST_TABLE: u32 = 12;
const LINES: usize = 10;

struct Figures {
    now: i64,
    window: Window,
    totals: Sums,
    slices: Vec<Sums>,
    users: Vec<Share>,
    sessions: Vec<Share>,
    models: Vec<Share>,
    running: Vec<RunningChat>,
}

/// `GET /dashboard/live`
pub(super) async fn show(State(dashboard): State<Dashboard>, Query(view): Query<View>) -> Result<Markup, Failure> {
    render(&dashboard, &view).await
}

pub(super) async fn render(dashboard: &Dashboard, view: &View) -> Result<Markup, Failure> {
    let (_, length) = view.window();
    let now = dashboard.shared.clock.now_ms();
    let figures = dashboard.shared.store.run(move |db| {
        let window = View::covers(db, length, now)?;
        Ok(Figures {
            now,
            window,
            totals: report::totals(db, window)?,
            slices: report::slices(db, window, SLICES)?,
            users: report::shares(db, By::User, window, LONGEST_TABLE)?,
            sessions: report::shares(db, By::Session, window, LONGEST_TABLE)?,
            models: report::shares(db, By::Model, window, LONGEST_TABLE)?,
            running: report::running(db)?,
        })
    });
    let figures = figures.await?;
    let total = figures.totals;
    Ok(html! {
        (tiles(&figures))
        section.card.wide aria-labelledby="over-time" {
            div.head {
                h2 #over-time { "Tokens over time" }
                p.legend.small { span.key.in { "prompts" } " " span.key.out { "answers" } }
            }
            (chart::tokens(&figures.slices, &labels(&figures)))
        }
        (shares("By user", "users", &["User", "Address"], &figures.users, total))
        (shares("By session", "sessions", &["Session", "User"], &figures.sessions, total))
        (shares("By model", "models", &["Model"], &figures.models, total))
        (running(&figures))
        (requests(dashboard, now))
        (refusals(dashboard, now))
        (mints(dashboard, now))
        (mail(dashboard, now))
    })
}

fn labels(figures: &Figures) -> Vec<String> {
    let Window { from, to } = figures.window;
    let width = (to - from) / i64::try_from(SLICES).unwrap_or(1).max(1);
    // Up to a day the time is enough.
    let short = to - from <= 90_000_000;
    let label = |at: usize| {
        let time = rfc3339(from + width * i64::try_from(at).unwrap_or_default());
        let (date, clock) = time.split_once('T').unwrap_or((&time, ""));
        let clock = clock.get(..5).unwrap_or_default();
        if short { format!("{clock} UTC") } else { format!("{date} {clock} UTC") }
    };
    (0..SLICES).map(label).collect()
}

fn tiles(figures: &Figures) -> Markup {
    let Sums { requests, broken, input_tokens, output_tokens, cost_nanos } = figures.totals;
    let running = figures.running.len();
    let tile = |name: &str, value: &str, more: &str| {
        html! { div.tile { dt { (name) } dd { (value) span.small.muted { (more) } } } }
    };
    let broken = match broken {
        0 => "all ended well".to_owned(),
        1 => "1 ended early".to_owned(),
        broken => format!("{} ended early", number(broken)),
    };
    let tokens = format!("{} in, {} out", number(input_tokens), number(output_tokens));
    html! {
        dl.tiles {
            (tile("Chats", &number(requests), &broken))
            (tile("Tokens", &number(figures.totals.tokens()), &tokens))
            (tile("Cost", &dollars(cost_nanos), "at behest-local's prices"))
            (tile("Running now", &running.to_string(), if running == 0 { "quiet" } else { "streaming" }))
        }
    }
}

/// A card with a table in it.
struct Card<'a> {
    title: &'a str,
    name: &'a str,
    wide: bool,
    columns: &'a [&'a str],
    empty: &'a str,
}

impl Card<'_> {
    fn of(&self, rows: &[Vec<Markup>]) -> Markup {
        html! {
            section.card.wide[self.wide] aria-labelledby=(self.name) {
                h2 id=(self.name) { (self.title) }
                (table(self.title, self.columns, rows, self.empty))
            }
        }
    }
}

fn shares(title: &str, name: &str, names: &[&str], rows: &[Share], totals: Sums) -> Markup {
    let row = |Share { name, of, sums }: &Share| {
        let mut row = vec![id(name)];
        if names.len() > 1 {
            row.push(of.as_deref().map_or_else(none, id));
        }
        row.extend([
            html! { (number(sums.requests)) },
            html! { (number(sums.tokens())) },
            html! { (dollars(sums.cost_nanos)) },
            chart::share(sums.cost_nanos, totals.cost_nanos),
        ]);
        row
    };
    let columns = [names, &["Chats", "Tokens", "Cost", "Share"]].concat();
    let card = Card { title, name, wide: false, columns: &columns, empty: "No chats in this time." };
    card.of(&rows.iter().map(row).collect::<Vec<_>>())
}

fn running(figures: &Figures) -> Markup {
    let row = |chat: &RunningChat| {
        vec![id(&chat.user_id), id(&chat.session_id), id(&chat.model), ago(chat.since, figures.now)]
    };
    let columns = &["User", "Session", "Model", "Since"];
    let card = Card { title: "Running chats", name: "running", wide: false, columns, empty: "No chat is running." };
    card.of(&figures.running.iter().take(LINES).map(row).collect::<Vec<_>>())
}

fn requests(dashboard: &Dashboard, now: i64) -> Markup {
    let row = |row: &Served| {
        let tone = match row.status {
            ..400 => "good",
            400..500 => "warn",
            _ => "bad",
        };
        vec![
            ago(row.at, now),
            html! { (row.server) },
            html! { code { (row.method) " " (row.path) } },
            html! { span class={ "status " (tone) } { (row.status) } },
            html! { (row.ms.to_string()) " ms" },
            row.origin.as_deref().map_or_else(none, id),
        ]
    };
    let rows: Vec<_> = dashboard.shared.activity.log().served.iter().take(LINES).map(row).collect();
    let columns = &["When", "Server", "Request", "Status", "First byte", "Origin"];
    let (title, empty) = ("Latest requests", "Nothing was asked yet.");
    Card { title, name: "requests", wide: true, columns, empty }.of(&rows)
}

fn refusals(dashboard: &Dashboard, now: i64) -> Markup {
    let row = |row: &Refused| {
        let allow = html! {
            form.inline method="post" action="/dashboard/origins" {
                input type="hidden" name="key" value=(dashboard.form_key);
                input type="hidden" name="add" value=(row.origin);
                button { "Allow " span.visually-hidden { (row.origin) } }
            }
        };
        let times = number(row.times.cast_signed());
        vec![html! { code { (row.origin) } }, html! { (row.server) }, html! { (times) }, ago(row.last, now), allow]
    };
    let rows: Vec<_> = dashboard.shared.activity.log().refused.iter().take(LINES).map(row).collect();
    let columns = &["Origin to add", "Refused by", "Times", "Last", "Remedy"];
    let (title, empty) = ("Refused origins (CORS)", "No page was refused for its origin.");
    Card { title, name: "refusals", wide: false, columns, empty }.of(&rows)
}

fn mints(dashboard: &Dashboard, now: i64) -> Markup {
    let row = |row: &Minted| {
        let tier = match row.tier {
            None => "—".to_owned(),
            Some(1) => "1 free".to_owned(),
            Some(2) => "2 pro".to_owned(),
            Some(3) => "3 max".to_owned(),
            Some(other) => other.to_string(),
        };
        vec![ago(row.at, now), id(&row.user_id), id(&row.session_id), html! { (tier) }, html! { (row.ttl) " s" }]
    };
    let rows: Vec<_> = dashboard.shared.activity.log().minted.iter().take(LINES).map(row).collect();
    let columns = &["When", "User", "Session", "Tier", "Life"];
    let (title, empty) = ("Minted tokens", "No token was minted yet.");
    Card { title, name: "mints", wide: false, columns, empty }.of(&rows)
}

fn mail(dashboard: &Dashboard, now: i64) -> Markup {
    let row = |letter: &Letter| {
        vec![
            ago(letter.sent_at, now),
            html! { (letter.to) },
            html! { code.code { (letter.code) } },
            html! { (letter.purpose) },
        ]
    };
    let rows: Vec<_> = dashboard.shared.mailbox.letters().iter().take(LINES).map(row).collect();
    let columns = &["When", "To", "Code", "For"];
    let (title, empty) = ("Mail", "No code was sent. Letters stay on this machine.");
    Card { title, name: "mail", wide: true, columns, empty }.of(&rows)
}
