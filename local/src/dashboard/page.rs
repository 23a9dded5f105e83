//! The page around everything, and how figures and times are written.

use axum::extract::{Query, State};
use axum::response::Html;
use serde::Deserialize;

use super::{Dashboard, Failure, live, settings};
use crate::html::escape;

/// The part of the address that says what is shown.
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
}

/// `GET /dashboard`
pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Query(view): Query<View>,
) -> Result<Html<String>, Failure> {
    let (window, _) = view.window();
    let tabs: String = WINDOWS
        .iter()
        .map(|(name, text, _)| {
            let current = if *name == window { " aria-current=\"page\"" } else { "" };
            format!("<a href=\"?window={name}\"{current}>{text}</a>")
        })
        .collect();
    let notice = match (&view.problem, &view.done) {
        (Some(problem), _) => format!("<p class=\"notice problem\" role=\"alert\">{}</p>", escape(problem)),
        (None, Some(done)) => format!("<p class=\"notice\" role=\"status\">{}</p>", escape(done)),
        (None, None) => String::new(),
    };
    let live = live::render(&dashboard, &view).await?;
    let settings = settings::render(&dashboard).await?;
    Ok(Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>behest-local dashboard</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/dashboard/style.css\">\n\
         <script type=\"module\" src=\"/dashboard/live.js\"></script>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#settings\">Skip to the settings</a>\n\
         <header><h1>behest-local <span class=\"muted\">dashboard</span></h1>\
         <p class=\"small muted\" id=\"state\" role=\"status\">As of loading</p></header>\n\
         <main>\n{notice}<nav class=\"tabs\" aria-label=\"Time shown\">{tabs}\
         <a class=\"export\" href=\"/dashboard/usage.csv?window={window}\" download>Export CSV</a></nav>\n\
         <div id=\"live\" data-window=\"{window}\">{live}</div>\n{settings}\n</main>\n\
         <footer class=\"small muted\">Supabase at <code>{}</code>, gateway at <code>{}</code>. \
         Nothing here is the real Behest: tokens say <code>iss: behest-local</code>.</footer>\n</body>\n</html>\n",
        escape(&dashboard.supabase_url),
        escape(&dashboard.gateway_url),
    )))
}

/// With spaces between thousands, thin and unbreakable.
pub(super) fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value < 0 { format!("−{text}") } else { text }
}

/// In US dollars, with as many digits as small sums need.
pub(super) fn dollars(nanos: i64) -> String {
    let dollars = nanos as f64 / 1e9;
    if nanos == 0 {
        "$0".to_owned()
    } else if dollars < 0.01 {
        format!("${dollars:.6}")
    } else if dollars < 100.0 {
        format!("${dollars:.4}")
    } else {
        format!("${dollars:.2}")
    }
}

/// A time as a browser may show it, with how long ago it was.
pub(super) fn ago(at: i64, now: i64) -> String {
    let seconds = (now - at).max(0) / 1000;
    let text = match seconds {
        0..=1 => "now".to_owned(),
        2..=59 => format!("{seconds} s ago"),
        60..=3599 => format!("{} min ago", seconds / 60),
        3600..=86_399 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    };
    format!("<time datetime=\"{}\">{text}</time>", crate::clock::rfc3339(at))
}

/// A long id with its middle left out, the whole of it on hover.
pub(super) fn id(text: &str) -> String {
    const SHOWN: usize = 26;
    if text.chars().count() <= SHOWN {
        return format!("<code>{}</code>", escape(text));
    }
    let head: String = text.chars().take(13).collect();
    let tail: String = text.chars().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect();
    format!("<code title=\"{}\">{}…{}</code>", escape(text), escape(&head), escape(&tail))
}

/// A table, or a sentence if it has no rows. Cells are HTML. On narrow screens each cell carries its column's name.
pub(super) fn table(caption: &str, columns: &[&str], rows: &[Vec<String>], empty: &str) -> String {
    if rows.is_empty() {
        return format!("<p class=\"muted empty\">{}</p>", escape(empty));
    }
    let head: String = columns.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let cell = |(name, cell): (&&str, &String)| format!("<td data-label=\"{name}\">{cell}</td>");
    let body: String =
        rows.iter().map(|row| format!("<tr>{}</tr>", columns.iter().zip(row).map(cell).collect::<String>())).collect();
    format!(
        "<table><caption class=\"visually-hidden\">{}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>",
        escape(caption)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((number(0), number(-1000)), ("0".into(), "−1\u{202f}000".into()));
        assert_eq!(
            (dollars(0), dollars(1_500_000), dollars(1_500_000_000)),
            ("$0".into(), "$0.001500".into(), "$1.5000".into())
        );
        assert!(ago(0, 61_000).contains("1 min ago"));
        assert!(id(&"x".repeat(40)).contains("x…x"));
        assert_eq!(id("<b>"), "<code>&lt;b&gt;</code>");
    }
}
