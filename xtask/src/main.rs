//! `cargo xtask`: everything a fresh machine needs to build, run, test and pack this project.

mod process;
mod setup;
mod toolchain;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, demo, tests, packing and size of behest-client")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: wasm target, wasm-bindgen, wasm-pack, wasm-opt, browsers and drivers
    Setup,
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Setup => setup::ensure().map(|_| ()),
    }
}
