//! `webdriver.json`: what wasm-bindgen's test runner asks of the browsers' drivers.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::Tools;
use crate::machine::places::root;

/// As every test starts Chromium. It refuses to run as root with its sandbox, and containers rarely allow one.
const FLAGS: &str = include_str!("../../../tests/js/support/chromium-flags.json");

/// For Chromium's.
pub(crate) fn for_chromium(tools: &Tools) -> Result<()> {
    let mut arguments: Vec<String> = serde_json::from_str(FLAGS)?;
    arguments.push("--headless".to_owned());
    write("goog:chromeOptions", json!({ "binary": tools.chromium()?, "args": arguments }))
}

/// For Firefox's.
pub(crate) fn for_firefox(tools: &Tools) -> Result<()> {
    write("moz:firefoxOptions", json!({ "binary": tools.firefox()?, "args": ["-headless"] }))
}

/// The file is left alone when it is right: cargo would otherwise see a changed one on every run.
fn write(name: &str, options: Value) -> Result<()> {
    let file = root().join("webdriver.json");
    let present: Map<String, Value> =
        fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if present.get(name) == Some(&options) {
        return Ok(());
    }
    let mut config = present;
    config.insert(name.to_owned(), options);
    fs::write(file, serde_json::to_string_pretty(&config)?).context("could not write webdriver.json")
}
