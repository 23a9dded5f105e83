//! Charts as SVG, drawn here: no script, no library.

use maud::{Markup, html};

use super::format::number;
use crate::store::report::Sums;

const HEIGHT: f64 = 100.0;
const BAR: f64 = 10.0;
const GAP: f64 = 2.0;

/// Tokens over time, prompts below answers. `labels` names each slice.
pub(super) fn tokens(slices: &[Sums], labels: &[String]) -> Markup {
    let most = slices.iter().map(Sums::tokens).max().unwrap_or_default();
    if most == 0 {
        return html! { p.muted.empty { "No chats in this time." } };
    }
    let top = nice(most);
    let width = slices.len() as f64 * BAR;
    let total: i64 = slices.iter().map(Sums::tokens).sum();
    let bars = slices.iter().zip(labels).enumerate();
    html! {
        div.chart {
            div.scale aria-hidden="true" {
                span { (number(top)) } span { (number(top / 2)) } span { "0" }
            }
            svg role="img" aria-label={ (number(total)) " tokens over time, at most " (number(most)) " in a slice" }
                viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
                path.grid d=(format!("M0 0.5H{width:.0}M0 50H{width:.0}M0 99.5H{width:.0}")) {}
                @for (at, (slice, label)) in bars { (bar(at as f64 * BAR + GAP / 2.0, slice, label, top)) }
            }
            div.ends aria-hidden="true" {
                span { (labels.first().map(String::as_str).unwrap_or_default()) } span { "now" }
            }
        }
    }
}

fn bar(x: f64, slice: &Sums, label: &str, top: i64) -> Markup {
    let scale = |tokens: i64| tokens as f64 / top as f64 * HEIGHT;
    let (input, output) = (scale(slice.input_tokens), scale(slice.output_tokens));
    let rect = |class: &str, y: f64, height: f64| {
        let (x, y, width, height) =
            (format!("{x:.1}"), format!("{y:.2}"), format!("{:.1}", BAR - GAP), format!("{height:.2}"));
        html! { rect class=(class) x=(x) y=(y) width=(width) height=(height) {} }
    };
    html! {
        g {
            title {
                (label) ": " (slice.requests) " requests, " (number(slice.input_tokens)) " prompt and "
                (number(slice.output_tokens)) " answer tokens"
            }
            (rect("hit", 0.0, HEIGHT))
            (rect("in", HEIGHT - input, input))
            (rect("out", HEIGHT - input - output, output))
        }
    }
}

/// A bar as long as its share of the whole.
pub(super) fn share(part: i64, whole: i64) -> Markup {
    let percent = if whole <= 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0) };
    html! {
        svg.share role="img" aria-label=(format!("{percent:.0} percent")) viewBox="0 0 100 6" preserveAspectRatio="none" {
            rect.track width="100" height="6" {}
            rect.fill width=(format!("{percent:.1}")) height="6" {}
        }
    }
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn nice(most: i64) -> i64 {
    let mut step = 1_i64;
    loop {
        for factor in [1, 2, 5] {
            let candidate = step.saturating_mul(factor);
            if candidate >= most || candidate == i64::MAX {
                return candidate.max(2);
            }
        }
        step = step.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_a_round_number_above_the_highest_bar() {
        for (most, top) in [(1, 2), (2, 2), (3, 5), (50, 50), (51, 100), (1234, 2000), (i64::MAX, i64::MAX)] {
            assert_eq!(nice(most), top, "{most}");
        }
    }

    #[test]
    fn bars_stand_on_each_other_and_labels_cannot_break_out() {
        let slice = Sums { requests: 1, input_tokens: 25, output_tokens: 25, ..Sums::default() };
        let svg = tokens(&[slice, Sums::default()], &["<a>".into(), "b".into()]).0;
        assert!(svg.contains("class=\"in\" x=\"1.0\" y=\"50.00\" width=\"8.0\" height=\"50.00\""), "{svg}");
        assert!(svg.contains("class=\"out\" x=\"1.0\" y=\"0.00\" width=\"8.0\" height=\"50.00\""), "{svg}");
        assert!(tokens(&[Sums::default()], &["a".into()]).0.contains("No chats"));
        assert!(svg.contains("&lt;a&gt;") && !svg.contains("<a>"), "{svg}");
        assert!(share(1, 0).0.contains("0 percent") && share(1, 4).0.contains("width=\"25.0\""));
    }
}
