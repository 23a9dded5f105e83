//! What the project is trusted for: faults survived, nothing lost over time, hostile input read without harm, attacks refused.
//! The short forms are a suite; the long ones are `cargo xtask check --faults` and its like.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::counts::Counts;
use super::table::{ATTACKS, Context, DIFFERENTIAL, EVENTS, EXPOSURE, FAULTS, SOAK, counted, in_trust};
use crate::figures::scale;
use crate::machine::children::{End, watch};
use crate::machine::places::root;
use crate::package::reproducible;

/// Longer than the longest of them takes on two busy cores.
const LIMIT: Duration = Duration::from_secs(45 * 60);
const LONG_FUZZ: u64 = 60;

/// Which of the long forms to run; none: formatting and clippy.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The fault matrix in Node, Chromium, Firefox and the native client; writes docs/faults.md
    #[arg(long)]
    faults: bool,
    /// 10 000 asks and 2 000 streams of three users under random faults, in Node and in Chromium
    #[arg(long)]
    soak: bool,
    /// Random and mutated input for everything that reads what others send
    #[arg(long)]
    fuzz: bool,
    /// For each fuzz target
    #[arg(long, requires = "fuzz", value_name = "SECONDS", default_value_t = LONG_FUZZ)]
    seconds: u64,
    /// Secrets searched wherever they could show; hostile answers and texts; the policies of every page
    #[arg(long)]
    attacks: bool,
    /// 100 000 clients with the real engine at one token endpoint: no waves; writes the tables of docs/scale.md
    #[arg(long)]
    scale: bool,
    /// Two builds of the WebAssembly modules in two folders, byte by byte
    #[arg(long)]
    reproducible: bool,
}

impl Options {
    pub(crate) fn is_quick(&self) -> bool {
        !(self.faults || self.soak || self.fuzz || self.attacks || self.scale || self.reproducible)
    }
}

/// Runs what was asked for, in its long form.
pub(crate) fn run(options: &Options) -> Result<()> {
    let context = Context::default();
    let mut counts = Counts::default();
    let Options { faults, soak, attacks, .. } = *options;
    let files = [(faults, FAULTS), (faults, EVENTS), (soak, SOAK), (attacks, ATTACKS), (attacks, EXPOSURE)];
    for (_, file) in files.into_iter().filter(|(wanted, _)| *wanted) {
        counts += counted(in_trust(&context, &[file])?.env("TRUST", "long"), LIMIT)?;
    }
    if options.fuzz {
        counts += fuzz(&context, options.seconds)?;
    }
    if options.scale {
        counts += crowds(&context)?;
    }
    if options.reproducible {
        counts += Counts::of(reproducible::check());
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    if counts.failed > 0 || counts.passed == 0 {
        bail!("not everything is as it should be: see above");
    }
    Ok(())
}

/// The fuzz targets on the stable compiler (suite `native` runs them for a moment); cargo-fuzz runs the same ones on a nightly.
fn fuzz(context: &Context, seconds: u64) -> Result<Counts> {
    let mut run = Command::new(context.test_program("fuzz")?);
    run.current_dir(root()).args(["--nocapture", "--test-threads=1"]).env("FUZZ_SECONDS", seconds.to_string());
    let mut counts = counted(&mut run, LIMIT)?;
    counts += counted(in_trust(context, &[DIFFERENTIAL])?.env("FUZZ_SECONDS", seconds.to_string()), LIMIT)?;
    Ok(counts)
}

/// The simulation of `src/engine/arrivals.rs` (suite `native` runs a small one).
fn crowds(context: &Context) -> Result<Counts> {
    let mut run = Command::new(context.test_program("behest_client")?);
    run.current_dir(root())
        .args(["arrivals", "--nocapture", "--test-threads=2"])
        .env("CROWD", scale::CROWD.to_string());
    let (mut counts, mut lines) = (Counts::default(), Vec::new());
    let end = watch(&mut run, LIMIT, |line| {
        counts.read(line);
        lines.push(line.to_owned());
    })?;
    match end {
        End::Success => scale::write(&lines)?,
        End::Failure | End::TimedOut => counts.failed = counts.failed.max(1),
    }
    Ok(counts)
}
