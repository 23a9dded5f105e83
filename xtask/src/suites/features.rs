//! Every set of features that users choose, on both targets: features only add, so each must build without the others.

use anyhow::Result;

use super::counts::Counts;
use crate::machine::commands::{command, output_of, step};
use crate::tools::Tools;
use crate::tools::toolchain::TARGET;

/// What must come of a set of features on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// It builds without a warning.
    Builds,
    /// It cannot be, and the compiler says so in this sentence and nothing else.
    Refused(&'static str),
}

use Expect::{Builds, Refused};

const NEEDS_EDGE: &str = "on wasm32 the feature `server` needs the feature `edge`";
const NO_AXUM: &str = "the feature `axum` is for native servers; on wasm32 use the feature `edge`";

/// Features, what becomes of them on this machine, and what in browsers and other JavaScript hosts.
const SETS: &[(&str, Expect, Expect)] = &[
    ("", Builds, Builds),
    // What Leptos and Yew apps and native programs use.
    ("client", Builds, Builds),
    ("auth", Builds, Builds),
    ("tracing", Builds, Builds),
    ("testing", Builds, Builds),
    // By itself of no use, but it must not need a face.
    ("engine", Builds, Builds),
    // The npm package: its browser entry, its server module.
    ("js", Builds, Builds),
    ("sign-in", Builds, Builds),
    ("js,sign-in", Builds, Builds),
    ("edge", Builds, Builds),
    ("js,testing", Builds, Builds),
    ("js,edge", Builds, Builds),
    ("server", Builds, Refused(NEEDS_EDGE)),
    ("axum", Builds, Refused(NO_AXUM)),
    // A full-stack app in one workspace: cargo unites what its halves ask for.
    ("client,axum", Builds, Refused(NO_AXUM)),
    ("client,edge,testing,js", Builds, Builds),
    ("engine,client,sign-in,auth,tracing,testing,js,server,edge,axum", Builds, Refused(NO_AXUM)),
];

/// Builds and lints each set.
pub(crate) fn check(tools: &Tools) -> Result<Counts> {
    let mut counts = Counts::default();
    let wasm = tools.wasm()?;
    for (features, here, in_browsers) in SETS {
        for (target, expect) in [(None, *here), (Some(TARGET), *in_browsers)] {
            let (mut cargo, lints) = match target {
                Some(_) => (wasm.cargo(), wasm.has_clippy()),
                None => (command("cargo"), true),
            };
            cargo.args([if lints { "clippy" } else { "check" }, "--package", "behest-client", "--lib", "--quiet"]);
            cargo.args(["--no-default-features", "--features", features]);
            cargo.args(target.iter().flat_map(|target| ["--target", target]));
            if lints {
                cargo.args(["--", "-D", "warnings"]);
            }
            let what = format!("features [{features}] on {}", target.unwrap_or("this machine"));
            let verdict = match expect {
                Builds => step(&what, &mut cargo),
                Refused(sentence) => {
                    eprintln!("==> {what} cannot be");
                    output_of(&mut cargo).and_then(|(succeeded, said)| {
                        if succeeded {
                            anyhow::bail!("{what} should not build");
                        }
                        refused_with(&said, sentence).map_err(|problem| problem.context(what))
                    })
                }
            };
            counts += Counts::of(verdict);
        }
    }
    Ok(counts)
}

/// Is this sentence the compiler's only error?
fn refused_with(said: &str, sentence: &str) -> Result<()> {
    let errors: Vec<&str> =
        said.lines().filter(|line| line.starts_with("error") && !line.contains("could not compile")).collect();
    match errors.as_slice() {
        [only] if only.contains(sentence) => Ok(()),
        [] => anyhow::bail!("it failed without an error: {said}"),
        [first, ..] => anyhow::bail!("expected the one error {sentence:?}, found {}: {first}", errors.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::places::root;

    #[test]
    fn every_feature_is_there_alone_and_with_all_others() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let features: Vec<&str> = manifest
            .lines()
            .skip_while(|line| *line != "[features]")
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
            .filter(|name| *name != "default")
            .collect();
        assert!(features.len() > 3, "{features:?}");
        let (all, ..) = SETS.iter().max_by_key(|(set, ..)| set.len()).unwrap();
        for feature in features {
            assert!(SETS.iter().any(|(set, ..)| *set == feature), "{feature} is not checked alone");
            assert!(all.split(',').any(|name| name == feature), "{feature} is not checked with all others");
        }
    }

    #[test]
    fn one_clear_message_and_nothing_else() {
        let good = "error: needs `b`\n --> src/lib.rs\n\nerror: could not compile `x` (lib) due to 1 previous error";
        assert!(refused_with(good, "needs `b`").is_ok());
        assert!(refused_with(good, "needs `c`").is_err());
        assert!(refused_with(&format!("error[E0432]: unresolved\n{good}"), "needs `b`").is_err());
        assert!(refused_with("", "needs `b`").is_err());
    }
}
