//! `cargo xtask bench`: this project and its peers side by side in one run, against the figures it promises.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::figures::{growth, script};
use crate::machine::artifacts;
use crate::machine::commands::command;
use crate::tools::{Tools, npm};

/// What is run, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Run only this benchmark (may be repeated): stream, ask, burst, start or memory
    #[arg(long = "only", value_name = "NAME")]
    only: Vec<String>,
    /// The server module instead of the client, beside the documented function, `jose` and the crypto library (on Linux)
    #[arg(long, conflicts_with = "only")]
    server: bool,
    /// How each cost grows with what it is the cost of, in place of speed: each linear or better. Draws the plots of
    /// docs/performance.md
    #[arg(long, conflicts_with_all = ["only", "server", "json"])]
    growth: bool,
    /// Fewer rounds: a first impression, no proof
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// Each is a script in `benches/` that prints its figures, one line of JSON each.
const BENCHES: [&str; 5] = ["stream", "ask", "burst", "start", "memory"];

/// That of the server module.
const SERVER: &str = "server";

/// What one figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    /// So many times as fast as the peer, or more.
    Faster(f64),
    /// At most this share of what the peer takes.
    Share(f64),
    /// At most this, whatever the peer has.
    AtMost(f64),
}

/// Figures with a target, by the name and the case the scripts give them, and the peer.
const TARGETS: &[(&str, &str, &str, Target)] = &[
    ("stream text", "one event", "openai", Target::Faster(2.5)),
    ("stream text", "200 B", "openai", Target::Faster(2.5)),
    ("stream text", "4 KiB", "openai", Target::Faster(7.0)),
    ("stream text", "64 KiB", "openai", Target::Faster(12.0)),
    ("stream text", "one event", "eventsource-parser", Target::Faster(1.3)),
    ("stream text", "200 B", "eventsource-parser", Target::Faster(1.3)),
    ("stream text", "4 KiB", "eventsource-parser", Target::Faster(2.2)),
    ("stream text", "64 KiB", "eventsource-parser", Target::Faster(3.5)),
    ("stream chunks", "one event", "openai", Target::Faster(1.8)),
    ("stream chunks", "200 B", "openai", Target::Faster(1.8)),
    ("stream chunks", "4 KiB", "openai", Target::Faster(4.0)),
    ("stream chunks", "64 KiB", "openai", Target::Faster(6.0)),
    ("stream chunks", "one event", "eventsource-parser", Target::Faster(1.0)),
    ("stream chunks", "200 B", "eventsource-parser", Target::Faster(1.0)),
    ("stream chunks", "4 KiB", "eventsource-parser", Target::Faster(1.2)),
    ("stream chunks", "64 KiB", "eventsource-parser", Target::Faster(1.3)),
    ("ask", "supabase-js", "openai", Target::Share(0.5)),
    ("ask", "callback", "openai", Target::Share(0.5)),
    ("burst", "", "snippet", Target::Share(0.5)),
    ("burst mints", "", "snippet", Target::AtMost(1.0)),
    ("start with supabase-js", "local, cold", "snippet", Target::Share(1.1)),
    ("start with supabase-js", "local, warm", "snippet", Target::Share(1.1)),
    ("start with supabase-js", "slow, cold", "snippet", Target::Share(1.1)),
    ("start with supabase-js", "slow, warm", "snippet", Target::Share(1.1)),
    ("start without", "local, cold", "snippet", Target::Share(0.85)),
    ("start without", "local, warm", "snippet", Target::Share(0.85)),
    ("start without", "slow, cold", "snippet", Target::Share(0.85)),
    ("start without", "slow, warm", "snippet", Target::Share(0.85)),
    ("memory wasm", "", "after 100 streams", Target::Share(1.0)),
    ("memory heap", "", "after 100 streams", Target::Share(1.1)),
    ("memory listeners", "", "after 100 streams", Target::AtMost(0.0)),
    ("memory timers", "", "after 100 streams", Target::AtMost(0.0)),
    ("memory sockets", "", "after 100 streams", Target::AtMost(0.0)),
    ("server native", "", "verify and sign", Target::Share(1.1)),
    ("server mint", "node", "jose", Target::Share(1.0)),
    ("server mint", "bun", "jose", Target::Share(1.0)),
    ("server mint", "workerd", "jose", Target::Share(1.0)),
    ("server mint, again", "node", "jose", Target::Share(1.0)),
    ("server mint, again", "bun", "jose", Target::Share(1.0)),
    ("server mint, again", "workerd", "jose", Target::Share(1.0)),
    ("server axum cpu", "16", "documented, deno", Target::Share(0.25)),
    ("server wasm cpu", "16", "documented, deno", Target::Share(0.8)),
    ("server axum cpu, again", "16", "documented, deno", Target::Share(0.25)),
    ("server wasm cpu, again", "16", "documented, deno", Target::Share(0.8)),
    ("server axum time", "1", "documented, deno", Target::Share(1.0)),
    ("server axum time", "16", "documented, deno", Target::Share(1.0)),
    ("server axum time", "256", "documented, deno", Target::Share(1.0)),
    ("server axum p50", "1", "documented, deno", Target::Share(1.0)),
    ("server axum p50", "16", "documented, deno", Target::Share(1.0)),
    ("server axum p50", "256", "documented, deno", Target::Share(1.0)),
    ("server axum p99", "1", "documented, deno", Target::Share(1.0)),
    ("server axum p99", "16", "documented, deno", Target::Share(1.0)),
    ("server axum p99", "256", "documented, deno", Target::Share(1.0)),
    ("server start", "node", "documented", Target::Share(1.0)),
    ("server start", "deno", "documented", Target::Share(1.0)),
    ("server start", "bun", "documented", Target::Share(1.0)),
    ("server start", "workerd", "documented", Target::Share(1.0)),
];

/// One measured pair, as the scripts print it.
#[derive(Debug, Deserialize, Serialize)]
struct Figure {
    figure: String,
    /// Size of the network's chunks, or network and caches, where it matters.
    #[serde(default)]
    case: String,
    /// `node` or `chromium`.
    r#where: String,
    unit: String,
    ours: f64,
    peer: String,
    theirs: f64,
}

/// A figure with its verdict.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    figure: Figure,
    /// In the direction of the target: how many times as fast, or which share.
    ratio: Option<f64>,
    target: Option<String>,
    pass: Option<bool>,
}

/// Runs the benchmarks against the packed package and prints what came out; fails if a figure misses its target.
pub(crate) fn run(tools: &Tools, tarball: &Path, options: &Options) -> Result<()> {
    if let Some(unknown) = options.only.iter().find(|name| !BENCHES.contains(&name.as_str())) {
        bail!("there is no benchmark {unknown:?}; there are {}", BENCHES.join(", "));
    }
    npm::packages("benches/peers")?;
    if options.growth {
        return growth::run(tarball, &native_server()?, options.quick);
    }
    let mut rows = Vec::new();
    let mut measure = |name: &str, program: (&str, &Path)| -> Result<()> {
        let figures = complete(name, script::run(name, tarball, options.quick, program)?)?;
        rows.extend(figures.into_iter().map(Row::judge));
        Ok(())
    };
    if options.server {
        npm::packages("tests/js")?;
        measure(SERVER, ("SERVER_BENCH", &native_server()?))?;
    }
    for name in BENCHES.iter().filter(|_| !options.server) {
        if options.only.is_empty() || options.only.iter().any(|wanted| wanted == name) {
            measure(name, ("CHROMIUM", tools.chromium()?))?;
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print_table(&rows);
    }
    let missed = rows.iter().filter(|row| row.pass == Some(false)).count();
    if missed > 0 {
        bail!("{missed} of {} figures miss their target", rows.iter().filter(|row| row.pass.is_some()).count());
    }
    Ok(())
}

/// The native server module, as it is deployed.
fn native_server() -> Result<PathBuf> {
    let mut cargo = command("cargo");
    cargo.args(["build", "--release", "--package", "behest-client", "--features", "axum", "--example", "server-bench"]);
    let built = artifacts::build("compiling server-bench (some minutes the first time)", &mut cargo)?;
    let program = built.into_iter().find(|artifact| artifact.target == "server-bench");
    program.and_then(|artifact| artifact.executable).context("cargo built no server-bench")
}

/// A figure that is promised must have been measured.
fn complete(name: &str, figures: Vec<Figure>) -> Result<Vec<Figure>> {
    let promised = TARGETS.iter().filter(|(figure, ..)| figure.split(' ').next() == Some(name));
    for (figure, case, peer, _) in promised {
        if !figures.iter().any(|measured| measured.is(figure, case, peer)) {
            bail!("benches/{name}.mjs did not measure {figure} {case} against {peer}");
        }
    }
    Ok(figures)
}

impl Figure {
    fn is(&self, figure: &str, case: &str, peer: &str) -> bool {
        self.figure == figure && self.case == case && self.peer == peer
    }

    fn target(&self) -> Option<Target> {
        TARGETS.iter().find(|(figure, case, peer, _)| self.is(figure, case, peer)).map(|(.., target)| *target)
    }
}

impl Target {
    fn ratio(self, figure: &Figure) -> Option<f64> {
        let ratio = match self {
            Self::Faster(_) => figure.theirs / figure.ours,
            Self::Share(_) | Self::AtMost(_) => figure.ours / figure.theirs,
        };
        ratio.is_finite().then_some(ratio)
    }

    fn is_met(self, figure: &Figure) -> bool {
        match self {
            Self::Faster(least) => figure.theirs >= least * figure.ours,
            Self::Share(most) => figure.ours <= most * figure.theirs,
            Self::AtMost(most) => figure.ours <= most,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Faster(least) => format!(">= {least:.2}"),
            Self::Share(most) => format!("<= {most:.2}"),
            Self::AtMost(most) => format!("at most {most}"),
        }
    }
}

impl Row {
    fn judge(figure: Figure) -> Self {
        let target = figure.target();
        Self {
            ratio: target.unwrap_or(Target::Faster(1.0)).ratio(&figure),
            target: target.map(Target::words),
            pass: target.map(|target| target.is_met(&figure)),
            figure,
        }
    }
}

fn print_table(rows: &[Row]) {
    println!(
        "\n{:<23}{:<12}{:<10}{:>12}  {:<20}{:>12}{:>8}  {:<10}verdict",
        "figure", "case", "where", "behest", "peer", "", "ratio", "target"
    );
    for Row { figure, ratio, target, pass } in rows {
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let verdict = match pass {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "",
        };
        let ours = amount(figure.ours, &figure.unit);
        let theirs = amount(figure.theirs, &figure.unit);
        println!(
            "{:<23}{:<12}{:<10}{ours:>12}  {:<20}{theirs:>12}{ratio:>8}  {:<10}{verdict}",
            figure.figure,
            figure.case,
            figure.r#where,
            figure.peer,
            target.as_deref().unwrap_or("-"),
        );
    }
}

fn amount(value: f64, unit: &str) -> String {
    match unit {
        "" => value.to_string(),
        "bytes" => format!("{:.2} MB", value / 1e6),
        unit => format!("{value:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, case: &str, peer: &str, ours: f64, theirs: f64) -> Figure {
        let owned = str::to_owned;
        Figure {
            figure: owned(name),
            case: owned(case),
            r#where: owned("node"),
            unit: owned("ms"),
            ours,
            peer: owned(peer),
            theirs,
        }
    }

    #[test]
    fn faster_is_the_peers_time_over_ours() {
        let row = Row::judge(figure("stream text", "200 B", "openai", 100.0, 250.0));
        assert_eq!((row.ratio, row.pass), (Some(2.5), Some(true)));
        assert_eq!(Row::judge(figure("stream text", "200 B", "openai", 100.0, 249.0)).pass, Some(false));
    }

    #[test]
    fn a_share_is_our_time_over_the_peers() {
        let row = Row::judge(figure("burst", "", "snippet", 50.0, 100.0));
        assert_eq!((row.ratio, row.pass), (Some(0.5), Some(true)));
        assert_eq!(Row::judge(figure("burst", "", "snippet", 51.0, 100.0)).pass, Some(false));
    }

    #[test]
    fn nothing_left_means_nothing() {
        let row = Row::judge(figure("memory timers", "", "after 100 streams", 0.0, 0.0));
        assert_eq!((row.ratio, row.pass), (None, Some(true)));
        assert_eq!(Row::judge(figure("memory timers", "", "after 100 streams", 1.0, 1.0)).pass, Some(false));
    }

    #[test]
    fn a_figure_without_a_target_has_no_verdict() {
        let row = Row::judge(figure("stream text", "200 B", "bare read", 100.0, 40.0));
        assert_eq!((row.target, row.pass), (None, None));
    }

    #[test]
    fn a_promised_figure_that_was_not_measured_is_an_error() {
        let figures = |cases: &[&str]| cases.iter().map(|case| figure("ask", case, "openai", 1.0, 2.0)).collect();
        assert!(complete("ask", figures(&["supabase-js", "callback"])).is_ok());
        assert!(complete("ask", figures(&["callback"])).is_err());
        assert!(complete("burst", figures(&["callback"])).is_err());
    }

    #[test]
    fn every_target_belongs_to_a_benchmark() {
        for (figure, ..) in TARGETS {
            let name = figure.split(' ').next().unwrap();
            assert!(BENCHES.contains(&name) || name == SERVER, "{figure}");
        }
    }
}
