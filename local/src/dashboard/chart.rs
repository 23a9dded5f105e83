//! Charts as SVG, drawn here: no script, no library.

use std::fmt::Write as _;

use super::page::number;
use crate::html::escape;
use crate::store::report::Sums;

const HEIGHT: f64 = 100.0;
const BAR: f64 = 10.0;
const GAP: f64 = 2.0;

/// Tokens over time, prompts below answers. `labels` names each slice.
pub(super) fn tokens(slices: &[Sums], labels: &[String]) -> String {
    let most = slices.iter().map(Sums::tokens).max().unwrap_or_default();
    if most == 0 {
        return "<p class=\"muted empty\">No chats in this time.</p>".to_owned();
    }
    let top = nice(most);
    let width = slices.len() as f64 * BAR;
    let scale = |tokens: i64| tokens as f64 / top as f64 * HEIGHT;
    let mut bars = String::new();
    for (at, (slice, label)) in slices.iter().zip(labels).enumerate() {
        let x = at as f64 * BAR + GAP / 2.0;
        let (input, output) = (scale(slice.input_tokens), scale(slice.output_tokens));
        // Writing to a text does not fail.
        let _ = write!(
            bars,
            "<g><title>{}: {} requests, {} prompt and {} answer tokens</title>\
             <rect class=\"hit\" x=\"{x:.1}\" y=\"0\" width=\"{w:.1}\" height=\"{HEIGHT}\"/>\
             <rect class=\"in\" x=\"{x:.1}\" y=\"{:.2}\" width=\"{w:.1}\" height=\"{input:.2}\"/>\
             <rect class=\"out\" x=\"{x:.1}\" y=\"{:.2}\" width=\"{w:.1}\" height=\"{output:.2}\"/></g>",
            escape(label),
            slice.requests,
            number(slice.input_tokens),
            number(slice.output_tokens),
            HEIGHT - input,
            HEIGHT - input - output,
            w = BAR - GAP,
        );
    }
    let total: i64 = slices.iter().map(Sums::tokens).sum();
    let first = labels.first().map(String::as_str);
    format!(
        "<div class=\"chart\"><div class=\"scale\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>0</span></div>\
         <svg role=\"img\" aria-label=\"{} tokens over time, at most {} in a slice\" viewBox=\"0 0 {width:.0} {HEIGHT}\" \
         preserveAspectRatio=\"none\"><path class=\"grid\" d=\"M0 0.5H{width:.0}M0 50H{width:.0}M0 99.5H{width:.0}\"/>{bars}</svg>\
         <div class=\"ends\" aria-hidden=\"true\"><span>{}</span><span>now</span></div></div>",
        number(top),
        number(top / 2),
        number(total),
        number(most),
        escape(first.unwrap_or_default()),
    )
}

/// A bar as long as its share of the whole.
pub(super) fn share(part: i64, whole: i64) -> String {
    let percent = if whole <= 0 { 0.0 } else { (part as f64 / whole as f64 * 100.0).clamp(0.0, 100.0) };
    format!(
        "<svg class=\"share\" role=\"img\" aria-label=\"{percent:.0} percent\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\">\
         <rect class=\"track\" width=\"100\" height=\"6\"/><rect class=\"fill\" width=\"{percent:.1}\" height=\"6\"/></svg>"
    )
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
        let svg = tokens(&[slice, Sums::default()], &["<a>".into(), "b".into()]);
        assert!(svg.contains("class=\"in\" x=\"1.0\" y=\"50.00\" width=\"8.0\" height=\"50.00\""), "{svg}");
        assert!(svg.contains("class=\"out\" x=\"1.0\" y=\"0.00\" width=\"8.0\" height=\"50.00\""), "{svg}");
        assert!(tokens(&[Sums::default()], &["a".into()]).contains("No chats"));
        assert!(svg.contains("&lt;a&gt;") && !svg.contains("<a>"), "{svg}");
        assert!(share(1, 0).contains("0 percent") && share(1, 4).contains("width=\"25.0\""));
    }
}
