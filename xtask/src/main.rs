//! `cargo xtask`: everything a fresh machine needs to build, run, test and pack this project.

mod bench;
mod demo;
mod figures;
mod machine;
mod package;
mod suites;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use machine::children;
use package::pack::{self, Larger};
use package::{leptos, size};
use suites::{run as test, screenshots, table, trust};
use tools::{Tools, setup};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, demo, tests, packing, size and benchmarks of behest-client")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install everything that any task needs: wasm target, wasm-bindgen, wasm-pack, wasm-opt, browsers and drivers
    Setup,
    /// Run the whole system on this machine: the page, Supabase Auth, the token function and a gateway
    Demo {
        /// Drive the page in headless Chromium instead, print the transcript, and stop
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        ports: demo::Ports,
        #[command(flatten)]
        upstream: demo::Upstream,
    },
    /// Run the tests and count them
    Test(test::Options),
    /// Build the npm package and print the path of its tarball
    Pack {
        /// Only fill pkg/dist, quickly: unoptimised, with names and panic messages, no tarball
        #[arg(long)]
        dev: bool,
        /// Make do with a toolchain that cannot build the small module that is tested and shipped
        #[arg(long, conflicts_with = "dev")]
        allow_larger: bool,
    },
    /// Compare what a page downloads with its ceiling and with what it replaces
    Size {
        /// What streaming adds to a release build of a Leptos page, instead
        #[arg(long)]
        leptos: bool,
    },
    /// Measure this project and its peers side by side, against the figures it promises (minutes; on a quiet machine)
    Bench(bench::Options),
    /// Make a picture of every screen in target/screenshots, and those of the README in docs/images
    Screenshots,
    /// The quick inner loop: formatting and clippy. With a flag, the long form of one of the checks of suite `trust`
    Check(trust::Options),
}

fn main() -> ExitCode {
    match children::stop_on_signals().and_then(|()| run(Cli::parse().task)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<test::Failed>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let tools = Tools::default();
    match task {
        Task::Setup => setup::ensure_all(&tools),
        Task::Demo { check, ports, upstream } => demo::run(check, &ports, &upstream),
        Task::Test(options) => test::run(&options),
        Task::Pack { dev: true, .. } => {
            println!("{}", pack::dist(&tools, pack::Build::Dev)?.display());
            Ok(())
        }
        Task::Pack { dev: false, allow_larger } => {
            let larger = if allow_larger { Larger::Allowed } else { Larger::Refused };
            println!("{}", pack::tarball(&tools, larger)?.display());
            Ok(())
        }
        Task::Size { leptos: true } => leptos::report(&tools),
        Task::Size { leptos: false } => {
            pack::tarball(&tools, Larger::Refused)?;
            size::report()
        }
        Task::Bench(options) => bench::run(&tools, &pack::tarball(&tools, Larger::Refused)?, &options),
        Task::Screenshots => screenshots::run(),
        Task::Check(options) if !options.is_quick() => trust::run(&options),
        Task::Check(_) => {
            let mut counts = table::format()?;
            counts += table::native_lint();
            if counts.failed > 0 {
                bail!("{} of {} checks failed", counts.failed, counts.failed + counts.passed)
            }
            Ok(())
        }
    }
}
