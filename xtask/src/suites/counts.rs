//! How many tests ran, as the runners' own closing lines say.

use std::ops::AddAssign;

use anyhow::Result;

/// Results of one or more test runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Counts {
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    pub(crate) const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// Of a check that is a test by itself. Says what is wrong.
    pub(crate) fn of(verdict: Result<()>) -> Self {
        match verdict {
            Ok(()) => Self::PASSED,
            Err(problem) => {
                println!("{problem:#}");
                Self::FAILED
            }
        }
    }

    /// Adds what this line of output says, if it is a closing line of libtest, of wasm-bindgen's runner (which writes the
    /// same) or of Node's.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(counts) = libtest(line).or_else(|| node(line)) {
            *self += counts;
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
fn libtest(line: &str) -> Option<Counts> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count =
        |word: &str| rest.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok()).unwrap_or_default();
    Some(Counts { passed: count("passed"), failed: count("failed"), skipped: count("ignored") })
}

/// `ℹ pass 4`, or `# pass 4` in TAP.
fn node(line: &str) -> Option<Counts> {
    let (word, number) = line.strip_prefix("ℹ ").or_else(|| line.strip_prefix("# "))?.split_once(' ')?;
    let count = number.parse().ok()?;
    let mut counts = Counts::default();
    match word {
        "pass" => counts.passed = count,
        "fail" | "cancelled" => counts.failed = count,
        "skipped" | "todo" => counts.skipped = count,
        _ => return None,
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Counts {
        let mut counts = Counts::default();
        text.lines().for_each(|line| counts.read(line));
        counts
    }

    #[test]
    fn every_binary_of_a_cargo_test_counts() {
        let text = "running 2 tests\ntest a ... ok\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\
            test result: FAILED. 1 passed; 3 failed; 4 ignored; 0 measured; 9 filtered out; finished in 1.20s\n";
        assert_eq!(read(text), Counts { passed: 3, failed: 3, skipped: 4 });
    }

    #[test]
    fn browser_runs_are_read() {
        let text = "test result: ok. 7 passed; 0 failed; 1 ignored; 0 filtered out; finished in 0.03s";
        assert_eq!(read(text), Counts { passed: 7, failed: 0, skipped: 1 });
    }

    #[test]
    fn node_runs_are_read_in_both_reports() {
        let spec =
            "ℹ tests 6\nℹ suites 1\nℹ pass 3\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 0\nℹ duration_ms 53.1";
        assert_eq!(read(spec), Counts { passed: 3, failed: 2, skipped: 1 });
        assert_eq!(read("# pass 3\n# fail 0"), Counts { passed: 3, failed: 0, skipped: 0 });
    }

    #[test]
    fn other_lines_say_nothing() {
        assert_eq!(read("pass 3\ntest result: maybe\nℹ pass many\n# some heading\n3 passed"), Counts::default());
    }
}
