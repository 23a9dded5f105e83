//! The examples in Leptos and Yew, and the crate's sign-in by itself, as pages load them.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::machine::artifacts;
use crate::machine::commands::{command, step};
use crate::machine::places::root;
use crate::tools::Tools;
use crate::tools::toolchain::TARGET;

/// Where a program's manifest is, and which target of it becomes a page.
const PAGES: [(&str, &str, &[&str]); 3] = [
    ("examples/leptos", "example-leptos", &[]),
    ("examples/yew", "example-yew", &[]),
    ("", "auth-page", &["--example", "auth-page", "--features", "auth"]),
];

/// Builds them. Gives the folder that has `<name>.js` and its module for each.
pub(crate) fn build(tools: &Tools) -> Result<PathBuf> {
    let target = root().join("target/rust-pages");
    let pages = target.join("pages");
    for (folder, name, more) in PAGES {
        let mut cargo = tools.wasm()?.cargo();
        // Nobody debugs them, and the symbols would be most of what the browser compiles.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").current_dir(root().join(folder));
        cargo.args(["build", "--target", TARGET, "--message-format=json-render-diagnostics"]).args(more);
        cargo.arg("--target-dir").arg(&target);
        let built = artifacts::build(&format!("compiling {name} (two minutes the first time)"), &mut cargo)?;
        let files = built.iter().filter(|artifact| artifact.target == name).flat_map(|artifact| &artifact.files);
        let module = files.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "wasm"));
        let module = module.with_context(|| format!("cargo built no {name}.wasm"))?;
        step(&format!("wasm-bindgen {name}"), command(tools.bindgen()?).args([module, &pages]).arg(name))?;
    }
    Ok(pages)
}
