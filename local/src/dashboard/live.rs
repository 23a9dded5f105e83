//! The part of the page that changes by itself.

use axum::extract::{Query, State};
use axum::response::Html;

use super::page::{View, ago, dollars, id, number, table};
use super::{Dashboard, Failure, chart};
use crate::clock::rfc3339;
use crate::html::escape;
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
pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Query(view): Query<View>,
) -> Result<Html<String>, Failure> {
    Ok(Html(render(&dashboard, &view).await?))
}

/// What the view's window covers.
pub(super) fn window(db: &rusqlite::Connection, length: i64, now: i64) -> anyhow::Result<Window> {
    let from = if length > 0 { now - length } else { report::first(db)?.unwrap_or(now - 3_600_000) };
    Ok(Window { from, to: now + 1 })
}

pub(super) async fn render(dashboard: &Dashboard, view: &View) -> Result<String, Failure> {
    let (_, length) = view.window();
    let now = dashboard.clock.now_ms();
    let figures = dashboard.store.run(move |db| {
        let window = window(db, length, now)?;
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
    let chart = format!(
        "<section class=\"card wide\" aria-labelledby=\"over-time\"><div class=\"head\"><h2 id=\"over-time\">Tokens over time</h2>\
         <p class=\"legend small\"><span class=\"key in\">prompts</span> <span class=\"key out\">answers</span></p></div>{}</section>",
        chart::tokens(&figures.slices, &labels(&figures))
    );
    Ok([
        tiles(&figures),
        chart,
        shares("By user", "users", ["User", "Address"], &figures.users, figures.totals),
        shares("By session", "sessions", ["Session", "User"], &figures.sessions, figures.totals),
        shares("By model", "models", ["Model", ""], &figures.models, figures.totals),
        running(&figures),
        requests(dashboard, now),
        refusals(dashboard, now),
        mints(dashboard, now),
        mail(dashboard, now),
    ]
    .concat())
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

fn tiles(figures: &Figures) -> String {
    let Sums { requests, broken, .. } = figures.totals;
    let running = figures.running.len();
    let tile = |name: &str, value: &str, more: &str| {
        format!("<div class=\"tile\"><dt>{name}</dt><dd>{value}<span class=\"small muted\">{more}</span></dd></div>")
    };
    let broken = match broken {
        0 => "all ended well".to_owned(),
        1 => "1 ended early".to_owned(),
        broken => format!("{} ended early", number(broken)),
    };
    let Sums { input_tokens, output_tokens, .. } = figures.totals;
    [
        "<dl class=\"tiles\">".to_owned(),
        tile("Chats", &number(requests), &broken),
        tile(
            "Tokens",
            &number(figures.totals.tokens()),
            &format!("{} in, {} out", number(input_tokens), number(output_tokens)),
        ),
        tile("Cost", &dollars(figures.totals.cost_nanos), "at behest-local's prices"),
        tile("Running now", &running.to_string(), if running == 0 { "quiet" } else { "streaming" }),
        "</dl>".to_owned(),
    ]
    .concat()
}

fn section(title: &str, name: &str, body: &str) -> String {
    format!("<section class=\"card\" aria-labelledby=\"{name}\"><h2 id=\"{name}\">{title}</h2>{body}</section>")
}

fn shares(title: &str, name: &str, [first, second]: [&str; 2], rows: &[Share], totals: Sums) -> String {
    let with_second = !second.is_empty();
    let columns: Vec<&str> =
        [first, second, "Chats", "Tokens", "Cost", "Share"].into_iter().filter(|column| !column.is_empty()).collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|Share { name, of, sums }| {
            let mut row = vec![id(name)];
            if with_second {
                row.push(of.as_deref().map_or_else(|| "<span class=\"none muted\">—</span>".to_owned(), id));
            }
            row.extend([
                number(sums.requests),
                number(sums.tokens()),
                dollars(sums.cost_nanos),
                chart::share(sums.cost_nanos, totals.cost_nanos),
            ]);
            row
        })
        .collect();
    section(title, name, &table(title, &columns, &rows, "No chats in this time."))
}

fn running(figures: &Figures) -> String {
    let rows: Vec<Vec<String>> = figures
        .running
        .iter()
        .take(LINES)
        .map(|chat| vec![id(&chat.user_id), id(&chat.session_id), id(&chat.model), ago(chat.since, figures.now)])
        .collect();
    let columns = ["User", "Session", "Model", "Since"];
    section("Running chats", "running", &table("Running chats", &columns, &rows, "No chat is running."))
}

fn requests(dashboard: &Dashboard, now: i64) -> String {
    let log = dashboard.activity.log();
    let rows: Vec<Vec<String>> = log
        .served
        .iter()
        .take(LINES)
        .map(|row| {
            let tone = match row.status {
                ..400 => "good",
                400..500 => "warn",
                _ => "bad",
            };
            vec![
                ago(row.at, now),
                row.server.to_owned(),
                format!("<code>{} {}</code>", escape(&row.method), escape(&row.path)),
                format!("<span class=\"status {tone}\">{}</span>", row.status),
                format!("{} ms", row.ms),
                row.origin.as_deref().map_or_else(|| "<span class=\"none muted\">—</span>".to_owned(), id),
            ]
        })
        .collect();
    drop(log);
    let columns = ["When", "Server", "Request", "Status", "First byte", "Origin"];
    let body = table("Latest requests", &columns, &rows, "Nothing was asked yet.");
    format!(
        "<section class=\"card wide\" aria-labelledby=\"requests\"><h2 id=\"requests\">Latest requests</h2>{body}</section>"
    )
}

fn refusals(dashboard: &Dashboard, now: i64) -> String {
    let log = dashboard.activity.log();
    let rows: Vec<Vec<String>> = log
        .refused
        .iter()
        .take(LINES)
        .map(|row| {
            let origin = escape(&row.origin);
            let allow = format!(
                "<form class=\"inline\" method=\"post\" action=\"/dashboard/origins\">\
                 <input type=\"hidden\" name=\"key\" value=\"{}\"><input type=\"hidden\" name=\"add\" value=\"{origin}\">\
                 <button>Allow <span class=\"visually-hidden\">{origin}</span></button></form>",
                dashboard.form_key
            );
            vec![format!("<code>{origin}</code>"), escape(&row.server), number(row.times.cast_signed()), ago(row.last, now), allow]
        })
        .collect();
    drop(log);
    let columns = ["Origin to add", "Refused by", "Times", "Last", "Remedy"];
    let body = table("Refused origins", &columns, &rows, "No page was refused for its origin.");
    section("Refused origins (CORS)", "refusals", &body)
}

fn mints(dashboard: &Dashboard, now: i64) -> String {
    let log = dashboard.activity.log();
    let rows: Vec<Vec<String>> = log
        .minted
        .iter()
        .take(LINES)
        .map(|row| {
            let tier = match row.tier {
                None => "—".to_owned(),
                Some(1) => "1 free".to_owned(),
                Some(2) => "2 pro".to_owned(),
                Some(3) => "3 max".to_owned(),
                Some(other) => other.to_string(),
            };
            vec![ago(row.at, now), id(&row.user_id), id(&row.session_id), tier, format!("{} s", row.ttl)]
        })
        .collect();
    drop(log);
    let columns = ["When", "User", "Session", "Tier", "Life"];
    section("Minted tokens", "mints", &table("Minted tokens", &columns, &rows, "No token was minted yet."))
}

fn mail(dashboard: &Dashboard, now: i64) -> String {
    let rows: Vec<Vec<String>> = dashboard
        .mailbox
        .letters()
        .iter()
        .take(LINES)
        .map(|letter| {
            let code = format!("<code class=\"code\">{}</code>", letter.code);
            vec![ago(letter.sent_at, now), escape(&letter.to), code, letter.purpose.to_owned()]
        })
        .collect();
    let columns = ["When", "To", "Code", "For"];
    let body = table("Mail", &columns, &rows, "No code was sent. Letters stay on this machine.");
    format!("<section class=\"card wide\" aria-labelledby=\"mail\"><h2 id=\"mail\">Mail</h2>{body}</section>")
}
