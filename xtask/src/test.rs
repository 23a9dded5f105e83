//! `cargo xtask test`: runs the suites, counts what ran, and fails when something failed or went missing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::counts::Counts;
use crate::suites::{Context, SUITES, Suite};

/// Prints the names of the suites.
pub(crate) fn list() {
    for suite in SUITES {
        println!("{:<10}{}", suite.name, suite.what);
    }
}

/// Runs the named suites, or all that run by default, and prints a table.
pub(crate) fn run(names: &[String]) -> Result<()> {
    let chosen = choose(names)?;
    let context = Context::default();
    let mut rows = Vec::new();
    for suite in chosen {
        println!("\n=== {}: {}", suite.name, suite.what);
        let started = Instant::now();
        let counts = (suite.run)(&context).unwrap_or_else(|error| {
            println!("{}: {error:#}", suite.name);
            Counts::FAILED
        });
        let row = Row { name: suite.name, floor: suite.floor, counts, took: started.elapsed() };
        println!("=== {}: {}", row.name, row.verdict());
        rows.push(row);
    }
    summarise(&rows)
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

    fn is_good(&self) -> bool {
        self.counts.failed == 0 && self.counts.passed > 0 && self.missing() == 0
    }

    fn verdict(&self) -> String {
        if self.counts.failed > 0 {
            "failed".to_owned()
        } else if self.missing() > 0 || self.counts.passed == 0 {
            format!("too few: at least {} tests must run", self.floor.max(1))
        } else {
            "ok".to_owned()
        }
    }
}

fn summarise(rows: &[Row]) -> Result<()> {
    println!("\n{:<10}{:>8}{:>8}{:>9}{:>10}  result", "suite", "passed", "failed", "skipped", "seconds");
    let mut all = Counts::default();
    for row in rows {
        let Counts { passed, failed, skipped } = row.counts;
        let seconds = row.took.as_secs_f32();
        println!("{:<10}{passed:>8}{failed:>8}{skipped:>9}{seconds:>10.1}  {}", row.name, row.verdict());
        all += row.counts;
    }
    let bad: Vec<_> = rows.iter().filter(|row| !row.is_good()).map(|row| row.name).collect();
    if !bad.is_empty() {
        println!("\nnot good: {} (again: cargo xtask test --suite NAME)", bad.join(", "));
    }
    println!("{} passed, {} failed, {} skipped", all.passed, all.failed, all.skipped);
    if bad.is_empty() { Ok(()) } else { Err(Failed.into()) }
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
    fn every_suite_has_its_own_name_and_a_floor() {
        for (index, suite) in SUITES.iter().enumerate() {
            assert!(suite.floor > 0, "{}", suite.name);
            assert!(SUITES[..index].iter().all(|other| other.name != suite.name), "{}", suite.name);
        }
    }
}
