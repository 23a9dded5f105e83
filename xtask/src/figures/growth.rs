//! `cargo xtask bench --growth`: how each cost grows with what it is the cost of, fitted, drawn, and no worse than linear.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use serde::Deserialize;

use super::page;
use super::plot::{self, Series};
use super::script;
use crate::machine::places::root;

/// Linear, with room for what a machine's caches and its garbage collector do to large sizes.
const LARGEST_EXPONENT: f64 = 1.15;

/// So many of the largest sizes are fitted: before them, what is fixed hides what grows.
const FITTED: usize = 3;

/// The plots, by the name that `benches/growth.mjs` gives them: the title, and what is counted.
const PLOTS: [(&str, &str, &str); 4] = [
    ("answer", "How long the answer is", "events of the answer"),
    ("history", "How long the history is", "messages, of 190 characters each"),
    ("streams", "How many streams at once", "streams, all open from the first piece to the last"),
    ("keys", "How many keys the project has", "keys in the key set (server module, native)"),
];

/// One line of the benchmark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    plot: String,
    series: String,
    size: f64,
    /// Milliseconds of CPU.
    cost: f64,
}

struct Curve {
    plot: String,
    name: String,
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// The exponent of the largest sizes: 1 is linear, 0 does not grow.
    fn exponent(&self) -> f64 {
        exponent(&self.points[self.points.len().saturating_sub(FITTED)..])
    }

    fn is_linear_or_better(&self) -> bool {
        self.exponent() <= LARGEST_EXPONENT
    }
}

/// Measures, draws, writes docs/performance.md, and fails if a cost grows faster than linearly.
pub(crate) fn run(tarball: &Path, native: &Path, quick: bool) -> Result<()> {
    let curves = curves(script::run("growth", tarball, quick, ("SERVER_BENCH", native))?)?;
    println!("{}", table(&curves));
    if quick {
        println!("a first impression: docs/performance.md stays as it is");
    } else {
        document(&curves)?;
    }
    let bad: Vec<_> = curves.iter().filter(|curve| !curve.is_linear_or_better()).collect();
    if !bad.is_empty() {
        let names: Vec<_> = bad.iter().map(|curve| format!("{}: {}", curve.plot, curve.name)).collect();
        bail!("grows faster than linearly: {}", names.join("; "));
    }
    println!(
        "{} costs, each linear or better (exponent of the {FITTED} largest sizes at most {LARGEST_EXPONENT})",
        curves.len()
    );
    Ok(())
}

/// By plot and series, in the order they came. Each must have enough points to be fitted, and each plot a curve.
fn curves(points: Vec<Point>) -> Result<Vec<Curve>> {
    let mut curves: Vec<Curve> = Vec::new();
    for Point { plot, series, size, cost } in points {
        let known = curves.iter_mut().find(|curve| curve.plot == plot && curve.name == series);
        match known {
            Some(curve) => curve.points.push((size, cost)),
            None => curves.push(Curve { plot, name: series, points: vec![(size, cost)] }),
        }
    }
    for curve in &curves {
        if curve.points.len() < FITTED || curve.points.iter().any(|(size, cost)| !(*size > 0.0 && *cost > 0.0)) {
            bail!("{}: {} has too few points to be fitted, or one that is no figure", curve.plot, curve.name);
        }
    }
    if let Some((plot, ..)) = PLOTS.iter().find(|(plot, ..)| curves.iter().all(|curve| curve.plot != *plot)) {
        bail!("benches/growth.mjs did not measure {plot}");
    }
    Ok(curves)
}

/// The slope of the least squares' line through the logarithms.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<_> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = logs.len() as f64;
    let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), log| (x + log.0 / count, y + log.1 / count));
    let covariance: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
    covariance / logs.iter().map(|log| (log.0 - x).powi(2)).sum::<f64>()
}

fn table(curves: &[Curve]) -> String {
    let mut table =
        "| what grows | cost of | sizes | so many times as large | costs so many times as much | exponent |\n\
                     |---|---|---|---|---|---|\n"
            .to_owned();
    for curve in curves {
        let (Some((least, cheapest)), Some((most, dearest))) = (curve.points.first(), curve.points.last()) else {
            continue;
        };
        let row = format!(
            "| {} | {} | {least} to {most} | {:.0} | {:.*} | {:.2} |\n",
            curve.plot,
            curve.name,
            most / least,
            usize::from(dearest / cheapest < 10.0),
            dearest / cheapest,
            // No minus before a zero.
            (curve.exponent() * 100.0).round() / 100.0 + 0.0,
        );
        table.push_str(&row);
    }
    table
}

fn document(curves: &[Curve]) -> Result<()> {
    let folder = root().join("docs/images");
    for (plot, title, what) in PLOTS {
        let curves = curves.iter().filter(|curve| curve.plot == plot);
        let series: Vec<_> = curves.map(|curve| Series { name: &curve.name, points: &curve.points }).collect();
        fs::write(folder.join(format!("growth-{plot}.svg")), plot::draw(title, what, &series))?;
    }
    page::write(&root().join("docs/performance.md"), "growth", &table(curves))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(cost: impl Fn(f64) -> f64) -> Curve {
        let points = [1.0, 4.0, 16.0, 64.0, 256.0].map(|size| (size, cost(size))).to_vec();
        Curve { plot: "answer".to_owned(), name: "x".to_owned(), points }
    }

    #[test]
    fn the_exponent_is_that_of_the_growth() {
        assert!((curve(|n| 3.0 * n).exponent() - 1.0).abs() < 1e-9);
        assert!((curve(|n| n * n).exponent() - 2.0).abs() < 1e-9);
        assert!(curve(|_| 7.0).exponent().abs() < 1e-9);
    }

    #[test]
    fn what_is_fixed_hides_no_square() {
        assert!(!curve(|n| 1000.0 + n * n).is_linear_or_better());
        assert!(!curve(|n| n * n.log2().max(1.0)).is_linear_or_better());
        assert!(curve(|n| 1000.0 + n).is_linear_or_better());
    }

    #[test]
    fn every_plot_is_measured_and_every_curve_fitted() {
        let point = |plot: &str, size: f64, cost: f64| Point { plot: plot.into(), series: "x".into(), size, cost };
        let all = |plots: &[&str]| {
            let sizes = [1.0, 2.0, 3.0];
            curves(plots.iter().flat_map(|plot| sizes.map(|size| point(plot, size, size))).collect())
        };
        let names = PLOTS.map(|(plot, ..)| plot);
        assert_eq!(all(&names).unwrap().len(), names.len());
        assert!(all(&names[1..]).is_err());
        assert!(curves(names.iter().map(|plot| point(plot, 1.0, 1.0)).collect()).is_err());
        assert!(curves([0.0, 1.0, 2.0].map(|size| point("answer", size, 1.0)).into()).is_err());
    }

    #[test]
    fn the_table_says_how_much() {
        let text = table(&[curve(|n| 2.0 * n)]);
        assert!(text.ends_with("| answer | x | 1 to 256 | 256 | 256 | 1.00 |\n"), "{text}");
    }
}
