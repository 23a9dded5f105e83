//! `cargo xtask size --leptos`: what streaming adds to a release build of a Leptos page, through this crate and by hand.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::crate_file;
use super::size::{Budget, Size, measure, ratio, row};
use crate::machine::artifacts;
use crate::machine::commands::{command, step};
use crate::machine::places::root;
use crate::tools::toolchain::TARGET;
use crate::tools::{Tools, npm};

/// Programs of `benches/leptos`: the page alone, with this crate, and with gloo-net by hand.
const PAGES: [&str; 3] = ["echo", "behest", "by_hand"];

/// Builds the three pages and fails if the crate adds more than size-budget.json allows.
pub(crate) fn report(tools: &Tools) -> Result<()> {
    let ceiling = Budget::read()?.leptos_growth_brotli_bytes;
    let modules = build(tools)?;
    let shipped = modules.iter().map(|module| ship(tools, module)).collect::<Result<Vec<_>>>()?;
    // A page is its module and the script that wasm-bindgen made for it.
    let sizes: Vec<Size> = measure(&shipped.concat())?.chunks(2).map(|files| files[0] + files[1]).collect();
    let [page, behest, by_hand] = <[Size; 3]>::try_from(sizes).unwrap_or_default();

    println!("\n{:<46}{:>9}{:>9}{:>10}{:>8}", "bytes", "raw", "gzip", "brotli", "ratio");
    row("Leptos page", page, "");
    let (growth, peer) = (behest - page, by_hand - page);
    row("streaming through behest-client adds", growth, &ratio(growth, peer));
    row("  streaming by hand with gloo-net adds", peer, "");
    let Some(ceiling) = ceiling else {
        println!("size-budget.json names no ceiling for it");
        return Ok(());
    };
    println!("ceiling of behest-client{ceiling:>50}");
    if growth.brotli > ceiling {
        bail!("the crate adds {} bytes more than its ceiling of {ceiling} (size-budget.json)", growth.brotli - ceiling);
    }
    Ok(())
}

/// As a user builds a release: the stable compiler and nothing but the profile.
fn build(tools: &Tools) -> Result<Vec<PathBuf>> {
    let workspace = root().join("benches/leptos");
    crate_file::unpack(&workspace.join("crate"))?;
    let mut cargo = tools.wasm()?.cargo();
    cargo.args(["build", "--release", "--bins", "--target", TARGET]);
    // Messages of panics name files below the folders of cargo and rustup.
    let home = env::home_dir().unwrap_or_default();
    cargo.env("CARGO_ENCODED_RUSTFLAGS", format!("--remap-path-prefix={}=~", home.display()));
    cargo.current_dir(workspace).arg("--target-dir").arg(root().join("target/leptos"));
    let built = artifacts::build("compiling three Leptos pages (two minutes the first time)", &mut cargo)?;
    let module = |name: &str| {
        let page = built.iter().find(|artifact| artifact.target == name && artifact.kind == "bin")?;
        page.wasm().cloned()
    };
    PAGES.iter().map(|name| module(name).ok_or_else(|| anyhow::anyhow!("cargo built no {name}.wasm"))).collect()
}

/// The module and its script, as a page would load them.
fn ship(tools: &Tools, module: &Path) -> Result<[PathBuf; 2]> {
    let name = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let work = root().join("target/leptos/pages");
    step(&format!("wasm-bindgen {name}"), command(tools.bindgen()?).args([module, &work]).arg(&name))?;
    let (small, script) = (work.join(format!("{name}.wasm")), work.join(format!("{name}.min.js")));
    let mut optimise = npm::program("wasm-opt")?;
    // Until nothing changes any more: what one pass leaves depends on the order of functions.
    optimise.args(["-Oz", "--converge"]).arg(work.join(format!("{name}_bg.wasm"))).arg("-o").arg(&small);
    step(&format!("wasm-opt -Oz {name}"), &mut optimise)?;
    let mut minify = npm::program("esbuild")?;
    minify.arg(work.join(format!("{name}.js"))).args(["--minify", "--format=esm", "--log-level=warning"]);
    step(&format!("minifying {name}"), minify.arg(format!("--outfile={}", script.display())))?;
    Ok([small, script])
}
