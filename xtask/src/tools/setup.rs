//! `cargo xtask setup`: everything that any task needs.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Tools, components, npm, webdriver};

/// Installs all that is missing and says where everything is.
pub(crate) fn ensure_all(tools: &Tools) -> Result<()> {
    components::ensure()?;
    npm::packages("tests/js")?;
    let rows = [
        ("rustc for wasm", tools.wasm()?.rustc()),
        ("wasm-bindgen", tools.wasm_bindgen()?),
        ("wasm-pack", tools.wasm_pack()?),
        ("Chromium", tools.chromium()?),
        ("chromedriver", tools.chromedriver()?),
        ("Firefox", tools.firefox()?),
        ("geckodriver", tools.geckodriver()?),
        ("cargo-deny", tools.cargo_deny()?),
    ];
    webdriver::for_chromium(tools)?;
    webdriver::for_firefox(tools)?;
    for (name, place) in rows {
        println!("{name:<16}{}", place.display());
    }
    let ours = [tools.wasm_pack()?, tools.wasm_bindgen()?, tools.geckodriver()?];
    let folders: BTreeSet<_> = ours.iter().filter_map(|program| program.parent()).collect();
    let list: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    println!("everything is there; for use by hand: export PATH={}:$PATH", list.join(":"));
    Ok(())
}
