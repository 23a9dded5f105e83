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
    Ids::default().show(text)
}

/// How the ids of one column are shortened: where they are alike.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    /// They begin or end alike for at least so many characters.
    begin: usize,
    end: usize,
}

impl Ids {
    pub(super) fn of<'a>(ids: impl Iterator<Item = &'a str>) -> Self {
        let mut ids: Vec<&str> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let Some((first, others)) = ids.split_first().filter(|(_, others)| !others.is_empty()) else {
            return Self::default();
        };
        let alike = |other: &str, from_end: bool| {
            let same = |(one, other): &(char, char)| one == other;
            match from_end {
                false => first.chars().zip(other.chars()).take_while(same).count(),
                true => first.chars().rev().zip(other.chars().rev()).take_while(same).count(),
            }
        };
        let least = |from_end| others.iter().map(|other| alike(other, from_end)).min().unwrap_or_default();
        Self { begin: least(false), end: least(true) }
    }

    /// The part that tells it from the others, the whole of it on hover.
    pub(super) fn show(self, text: &str) -> Markup {
        const SHOWN: usize = 22;
        const ALIKE: usize = 6;
        let length = text.chars().count();
        if length <= SHOWN + 2 {
            return html! { code { (text) } };
        }
        let head = |count: usize| text.chars().take(count).collect::<String>();
        let tail = |count: usize| text.chars().skip(length - count).collect::<String>();
        let short = if self.begin.max(self.end) < ALIKE {
            format!("{}…{}", head(13), tail(6))
        } else if self.begin >= self.end {
            format!("…{}", tail(SHOWN))
        } else {
            format!("{}…", head(SHOWN))
        };
        html! { code title=(text) { (short) } }
    }
}

/// What stands in an empty cell.
pub(super) fn none() -> Markup {
    html! { span.none.muted { "—" } }
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

    #[test]
    fn ids_are_shortened_where_they_are_alike() {
        let numbered = |n: u32| format!("conversation-of-the-morning-{n}");
        let (one, two) = (numbered(1), numbered(2));
        let ids = Ids::of([one.as_str(), two.as_str()].into_iter());
        assert!(ids.show(&one).0.contains(">…ation-of-the-morning-1<"), "{}", ids.show(&one).0);
        let ids = Ids::of(["anna@a-company.example.com", "bert@a-company.example.com"].into_iter());
        assert!(ids.show("anna@a-company.example.com").0.contains(">anna@a-company.example…<"));
    }
}
