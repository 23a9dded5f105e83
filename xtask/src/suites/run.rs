//! `cargo xtask test`: runs the suites, counts what ran, and fails when something failed or went missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::counts::Counts;
use super::table::{Context, SUITES, Suite};
use crate::machine::places::root;

/// Prints the names of the suites.
fn list() {
    for suite in SUITES {
        println!("{:<15}{}", suite.name, suite.what);
    }
}

/// What to run, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Print the suites and stop
    #[arg(long)]
    list: bool,
    /// Run only this suite (may be repeated)
    #[arg(long = "suite", value_name = "NAME")]
    suites: Vec<String>,
    /// Afterwards write how many tests of each suite ran into xtask/floors.json: so many must run from now on
    #[arg(long)]
    update_floors: bool,
}

/// Runs the chosen suites, or all that run by default, and prints a table.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        list();
        return Ok(());
    }
    let chosen = choose(&options.suites)?;
    let mut floors = Floors::read()?;
    let context = Context::default();
    let mut rows = Vec::new();
    for suite in chosen {
        println!("\n=== {}: {}", suite.name, suite.what);
        let started = Instant::now();
        let counts = (suite.run)(&context).unwrap_or_else(|error| {
            println!("{}: {error:#}", suite.name);
            Counts::FAILED
        });
        let floor = if options.update_floors { 0 } else { floors.of(suite.name) };
        let row = Row { name: suite.name, floor, counts, took: started.elapsed() };
        println!("=== {}: {}", row.name, row.verdict());
        rows.push(row);
    }
    summarise(&rows)?;
    if options.update_floors {
        floors.update(&rows)?;
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<&'static Suite>> {
    if names.is_empty() {
        return Ok(SUITES.iter().filter(|suite| suite.by_default).collect());
    }
    if let Some(unknown) = names.iter().find(|name| SUITES.iter().all(|suite| suite.name != **name)) {
        let known: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        bail!("there is no suite {unknown:?}; there are {}", known.join(", "));
    }
    Ok(SUITES.iter().filter(|suite| names.iter().any(|name| name == suite.name)).collect())
}

struct Row {
    name: &'static str,
    floor: u32,
    counts: Counts,
    took: Duration,
}

impl Row {
    /// A skipped test has not run.
    fn missing(&self) -> u32 {
        self.floor.saturating_sub(self.counts.passed + self.counts.failed)
    }

    /// Nothing but skipped: what it needs cannot be had on this machine, and it said so.
    fn is_skipped(&self) -> bool {
        self.counts.skipped > 0 && self.counts.passed + self.counts.failed == 0 && MAY_BE_SKIPPED.contains(&self.name)
    }

    fn is_good(&self) -> bool {
        self.is_skipped() || self.counts.failed == 0 && self.counts.passed > 0 && self.missing() == 0
    }

    fn verdict(&self) -> String {
        if self.is_skipped() {
            "skipped".to_owned()
        } else if self.counts.failed > 0 {
            "failed".to_owned()
        } else if self.missing() > 0 || self.counts.passed == 0 {
            format!("too few: at least {} tests must run", self.floor.max(1))
        } else {
            "ok".to_owned()
        }
    }
}

/// Suites for which a machine may lack what they need; all others must run.
const MAY_BE_SKIPPED: [&str; 1] = ["msrv"];

fn summarise(rows: &[Row]) -> Result<()> {
    println!("\n{:<15}{:>7}{:>8}{:>9}{:>10}  result", "suite", "passed", "failed", "skipped", "seconds");
    let mut all = Counts::default();
    for row in rows {
        let Counts { passed, failed, skipped } = row.counts;
        let seconds = row.took.as_secs_f32();
        println!("{:<15}{passed:>7}{failed:>8}{skipped:>9}{seconds:>10.1}  {}", row.name, row.verdict());
        all += row.counts;
    }
    let bad: Vec<_> = rows.iter().filter(|row| !row.is_good()).map(|row| row.name).collect();
    if !bad.is_empty() {
        println!("\nnot good: {} (again: cargo xtask test --suite NAME)", bad.join(", "));
    }
    println!("{} passed, {} failed, {} skipped", all.passed, all.failed, all.skipped);
    if bad.is_empty() { Ok(()) } else { Err(Failed.into()) }
}

/// xtask/floors.json: how many tests of each suite must run, or some went missing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Floors(BTreeMap<String, u32>);

impl Floors {
    fn file() -> PathBuf {
        root().join("xtask/floors.json")
    }

    fn read() -> Result<Self> {
        let text = fs::read_to_string(Self::file()).context("could not read xtask/floors.json")?;
        Ok(Self(serde_json::from_str(&text).context("xtask/floors.json is no list of numbers by suite")?))
    }

    fn of(&self, suite: &str) -> u32 {
        self.0.get(suite).copied().unwrap_or(1)
    }

    /// What ran is the new floor; suites that were not run keep theirs.
    fn set(&mut self, rows: &[Row]) {
        for row in rows.iter().filter(|row| !row.is_skipped()) {
            self.0.insert(row.name.to_owned(), row.counts.passed);
        }
    }

    fn update(&mut self, rows: &[Row]) -> Result<()> {
        self.set(rows);
        fs::write(Self::file(), format!("{}\n", serde_json::to_string_pretty(&self.0)?))?;
        println!("xtask/floors.json holds what ran");
        Ok(())
    }
}

/// The summary has said it all: nothing more is printed after its last line.
#[derive(Debug)]
pub(crate) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("some suites are not good")
    }
}

impl std::error::Error for Failed {}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(floor: u32, passed: u32, failed: u32, skipped: u32) -> Row {
        Row { name: "x", floor, counts: Counts { passed, failed, skipped }, took: Duration::ZERO }
    }

    #[test]
    fn good_means_enough_and_none_failed() {
        assert!(row(3, 3, 0, 0).is_good());
        assert!(row(3, 3, 0, 1).is_good());
        for bad in
            [row(3, 2, 0, 0), row(3, 2, 0, 1), row(1, 0, 0, 0), row(1, 0, 0, 4), row(0, 0, 0, 0), row(1, 5, 1, 0)]
        {
            assert!(!bad.is_good(), "{:?}", bad.counts);
        }
        assert!(summarise(&[row(1, 1, 0, 0), row(2, 1, 0, 0)]).is_err());
        assert!(summarise(&[row(1, 1, 0, 0)]).is_ok());
    }

    #[test]
    fn suites_are_chosen_by_name_and_kept_in_order() {
        let names = |wanted: &[&str]| {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            choose(&wanted).map(|suites| suites.iter().map(|suite| suite.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["lint", "format"]).unwrap(), ["format", "lint"]);
        assert!(!names(&[]).unwrap().contains(&"upstream"));
        assert!(names(&["upstream"]).is_ok());
        assert!(names(&["nonsense"]).is_err());
    }

    #[test]
    fn every_suite_has_its_own_name_and_every_floor_is_a_suites() {
        for (index, suite) in SUITES.iter().enumerate() {
            assert!(SUITES[..index].iter().all(|other| other.name != suite.name), "{}", suite.name);
        }
        let floors = Floors::read().unwrap();
        for (name, floor) in &floors.0 {
            assert!(SUITES.iter().any(|suite| suite.name == name) && *floor > 0, "{name}: {floor}");
        }
        for suite in SUITES {
            assert!(floors.0.contains_key(suite.name), "{} has no floor: cargo xtask test --update-floors", suite.name);
        }
    }

    #[test]
    fn new_floors_are_what_ran_and_the_rest_stays() {
        let mut floors = Floors([("x".to_owned(), 7), ("other".to_owned(), 9)].into());
        floors.set(&[row(0, 5, 0, 2)]);
        assert_eq!(floors, Floors([("x".to_owned(), 5), ("other".to_owned(), 9)].into()));
        let skipped = Row { name: "msrv", ..row(1, 0, 0, 1) };
        floors.set(&[skipped]);
        assert!(!floors.0.contains_key("msrv"));
    }

    #[test]
    fn only_some_suites_may_be_skipped() {
        assert!(Row { name: "msrv", ..row(1, 0, 0, 1) }.is_good());
        assert!(!Row { name: "msrv", ..row(1, 0, 1, 1) }.is_good());
        assert!(!Row { name: "msrv", ..row(1, 0, 0, 0) }.is_good());
        assert!(!row(1, 0, 0, 1).is_good());
    }
}
