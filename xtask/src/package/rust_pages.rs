//! The examples in Leptos and Yew, and the crate's sign-in by itself, as pages load them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::machine::artifacts::{self, Artifact};
use crate::machine::commands::{command, step};
use crate::machine::places::root;
use crate::tools::Tools;
use crate::tools::toolchain::TARGET;

/// Where a program's manifest is, which target of it becomes a page, how that is called, and what cargo is told.
const PAGES: [(&str, &str, &str, &[&str]); 4] = [
    ("examples/leptos", "example-leptos", "example-leptos", &[]),
    (
        "examples/leptos",
        "example-leptos",
        "example-leptos-hydrate",
        &["--no-default-features", "--features", "hydrate"],
    ),
    ("examples/yew", "example-yew", "example-yew", &[]),
    ("", "auth-page", "auth-page", &["--example", "auth-page", "--features", "auth"]),
];

/// Where they are compiled, and what readers of the guides make.
pub(crate) fn target() -> PathBuf {
    root().join("target/rust-pages")
}

/// Builds them. Gives the folder that has `<name>.js` and its module for each.
pub(crate) fn build(tools: &Tools) -> Result<PathBuf> {
    let pages = target().join("pages");
    for (folder, target, name, more) in PAGES {
        let mut cargo = tools.wasm()?.cargo();
        cargo.args(["build", "--target", TARGET]).args(more);
        let built = compile(name, folder, &mut cargo)?;
        let module = built.iter().filter(|artifact| artifact.target == target).find_map(Artifact::wasm);
        let module = module.with_context(|| format!("cargo built no {name}.wasm"))?;
        step(&format!("wasm-bindgen {name}"), command(tools.bindgen()?).args([module, &pages]).arg(name))?;
    }
    Ok(pages)
}

/// The server that draws the Leptos example's page.
pub(crate) fn server() -> Result<PathBuf> {
    let mut cargo = command("cargo");
    cargo.args(["build", "--no-default-features", "--features", "ssr"]);
    let built = compile("the server of example-leptos", "examples/leptos", &mut cargo)?;
    let server = built.into_iter().filter(|artifact| artifact.target == "example-leptos");
    server.filter_map(|artifact| artifact.executable).next().context("cargo built no server")
}

fn compile(what: &str, folder: &str, cargo: &mut Command) -> Result<Vec<Artifact>> {
    // Nobody debugs them, and the symbols would be most of what the browser compiles.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").current_dir(root().join(folder));
    cargo.arg("--target-dir").arg(target());
    artifacts::build(&format!("compiling {what} (two minutes the first time)"), cargo)
}
