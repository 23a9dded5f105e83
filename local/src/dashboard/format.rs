//! How figures, times, ids and tables are written.

use maud::{Markup, html};

use crate::domain::clock::rfc3339;

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
pub(super) fn ago(at: i64, now: i64) -> Markup {
    let seconds = (now - at).max(0) / 1000;
    let text = match seconds {
        0..=1 => "now".to_owned(),
        2..=59 => format!("{seconds} s ago"),
        60..=3599 => format!("{} min ago", seconds / 60),
        3600..=86_399 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    };
    html! { time datetime=(rfc3339(at)) { (text) } }
}

/// A long id with its middle left out, the whole of it on hover.
pub(super) fn id(text: &str) -> Markup {
    const SHOWN: usize = 26;
    let length = text.chars().count();
    if length <= SHOWN {
        return html! { code { (text) } };
    }
    let head: String = text.chars().take(13).collect();
    let tail: String = text.chars().skip(length - 6).collect();
    html! { code title=(text) { (head) "…" (tail) } }
}

/// What stands in an empty cell.
pub(super) fn none() -> Markup {
    html! { span.none.muted { "—" } }
}

/// A table, or a sentence if it has no rows. On narrow screens each cell carries its column's name.
pub(super) fn table(caption: &str, columns: &[&str], rows: &[Vec<Markup>], empty: &str) -> Markup {
    html! {
        @if rows.is_empty() {
            p.muted.empty { (empty) }
        } @else {
            table {
                caption.visually-hidden { (caption) }
                thead { tr { @for name in columns { th scope="col" { (name) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (name, cell) in columns.iter().zip(row) { td data-label=(name) { (cell) } } }
                    }
                }
            }
        }
    }
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
        assert!(ago(0, 61_000).0.contains("1 min ago"));
        assert!(id(&"x".repeat(40)).0.contains("x…x"));
        assert_eq!(id("<b>").0, "<code>&lt;b&gt;</code>");
    }
}
