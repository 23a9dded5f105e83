//! What is used, what runs, and what was refused.

use maud::{Markup, html};

use super::card::Card;
use super::format::{Ids, ago, dollars, id, number};
use super::state::{Dashboard, Failure};
use super::view::View;
use super::{chart, requests};
use crate::domain::activity::Refused;
use crate::domain::clock::rfc3339;
use crate::store::report::{self, By, RunningChat, Share, Sums};
use crate::store::usage::Window;

const SLICES: usize = 48;
const MODELS: u32 = 8;
const LINES: usize = 8;

pub(super) async fn render(dashboard: &Dashboard, view: &View) -> Result<Markup, Failure> {
    let (_, length) = view.window();
    let now = dashboard.shared.clock.now_ms();
    let figures = dashboard.shared.store.read(move |db| {
        let window = View::covers(db, length, now)?;
        let slices = report::slices(db, window, SLICES)?;
        Ok((window, slices, report::shares(db, By::Model, window, MODELS)?, report::running(db)?))
    });
    let (window, slices, models, running) = figures.await?;
    let totals = slices.iter().copied().fold(Sums::default(), Sums::plus);
    Ok(html! {
        (tiles(totals, running.len()))
        section.card.wide aria-labelledby="over-time" {
            div.head {
                h3 #over-time { "Tokens over time" }
                p.legend.small { span.key.in { "prompts" } " " span.key.out { "answers" } }
            }
            (chart::tokens(&slices, &labels(window)))
        }
        (running_chats(&running, now))
        (by_model(&models, totals))
        (origins(dashboard, now))
        (requests::refusals(dashboard, now, LINES))
    })
}

fn labels(Window { from, to }: Window) -> Vec<String> {
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

fn tiles(totals: Sums, running: usize) -> Markup {
    let tile = |name: &str, value: &str, more: &str| {
        html! { div.tile { dt { (name) } dd { (value) span.small.muted { (more) } } } }
    };
    let broken = match totals.broken {
        0 => "all ended well".to_owned(),
        1 => "1 ended early".to_owned(),
        broken => format!("{} ended early", number(broken)),
    };
    let tokens = format!("{} in, {} out", number(totals.input_tokens), number(totals.output_tokens));
    html! {
        dl.tiles {
            (tile("Chats", &number(totals.requests), &broken))
            (tile("Tokens", &number(totals.tokens()), &tokens))
            (tile("Cost", &dollars(totals.cost_nanos), "at behest-local's prices"))
            (tile("Running now", &running.to_string(), if running == 0 { "quiet" } else { "streaming" }))
        }
    }
}

fn by_model(models: &[Share], totals: Sums) -> Markup {
    let row = |Share { name, sums, .. }: &Share| {
        let mut row = vec![id(name)];
        row.extend(used(*sums));
        row.push(chart::share(sums.cost_nanos, totals.cost_nanos));
        row
    };
    let columns = &["Model", "Chats", "Tokens", "Cost", "Share"];
    let card = Card { title: "By model", name: "models", wide: false, columns, empty: "No chats in this time." };
    card.of(&models.iter().map(row).collect::<Vec<_>>())
}

/// The cells of what was used.
pub(super) fn used(sums: Sums) -> [Markup; 3] {
    [html! { (number(sums.requests)) }, html! { (number(sums.tokens())) }, html! { (dollars(sums.cost_nanos)) }]
}

fn running_chats(running: &[RunningChat], now: i64) -> Markup {
    let (users, sessions) =
        (Ids::of(running.iter().map(|chat| &*chat.user_id)), Ids::of(running.iter().map(|chat| &*chat.session_id)));
    let row = |chat: &RunningChat| {
        vec![users.show(&chat.user_id), sessions.show(&chat.session_id), id(&chat.model), ago(chat.since, now)]
    };
    let columns = &["User", "Session", "Model", "Since"];
    let card = Card { title: "Running chats", name: "running", wide: false, columns, empty: "No chat is running." };
    card.of(&running.iter().take(LINES).map(row).collect::<Vec<_>>())
}

fn origins(dashboard: &Dashboard, now: i64) -> Markup {
    let row = |row: &Refused| {
        let times = number(row.times.cast_signed());
        let allow = super::forms::allow(dashboard, super::room::Room::Overview, &row.origin);
        vec![html! { code { (row.origin) } }, html! { (row.server) }, html! { (times) }, ago(row.last, now), allow]
    };
    let rows: Vec<_> = dashboard.shared.activity.log().refused.iter().take(LINES).map(row).collect();
    let columns = &["Origin to add", "Refused by", "Times", "Last", "Remedy"];
    let (title, empty) = ("Refused origins (CORS)", "No page was refused for its origin.");
    Card { title, name: "refusals", wide: true, columns, empty }.of(&rows)
}
