//! `cargo xtask screenshots`: a picture of every screen, and those of the README.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::table::{Context, in_pages};
use crate::machine::children::{End, watch};
use crate::machine::places::root;

/// What the README shows, and which of the pictures that is.
const OF_README: [(&str, &str); 2] =
    [("page.png", "page-chromium-1280-light.png"), ("dashboard.png", "overview-chromium-1280-light.png")];
const LIMIT: Duration = Duration::from_secs(10 * 60);

pub(crate) fn run() -> Result<()> {
    let (all, shown) = (root().join("target/screenshots"), root().join("docs/images"));
    let mut node = in_pages(&Context::default(), vec![root().join("tests/js/screens.test.mjs")])?;
    if watch(node.env("SCREENSHOTS", &all), LIMIT, |_| {})? != End::Success {
        bail!("some screens are not as they should be: see above");
    }
    fs::create_dir_all(&shown)?;
    for (name, picture) in OF_README {
        fs::copy(all.join(picture), shown.join(name)).with_context(|| format!("there is no {picture}"))?;
    }
    println!("every screen is in {}, the README's are in {}", all.display(), shown.display());
    Ok(())
}
