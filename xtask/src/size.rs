//! `cargo xtask size`: what a page downloads, beside what the documented snippet makes it download, against a ceiling.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::pack;
use crate::process::{command, output, root, step};
use crate::setup::{self, npm_program};

const SNIPPET: &str = "benches/peers/snippet.mjs";

/// Bytes of one download, plain and compressed at the highest level.
#[derive(Clone, Copy, Default)]
struct Size {
    raw: u64,
    gzip: u64,
    brotli: u64,
}

/// Measures what `pkg/` holds now and fails above the ceiling of size-budget.json.
pub(crate) fn report() -> Result<()> {
    let budget = fs::read_to_string(root().join("size-budget.json")).context("could not read size-budget.json")?;
    let budget: Value = serde_json::from_str(&budget).context("size-budget.json is not JSON")?;
    let ceiling = budget["browserEntryBrotliBytes"]
        .as_u64()
        .context("size-budget.json needs \"browserEntryBrotliBytes\": a number of bytes")?;

    let work = root().join("target/size");
    fs::create_dir_all(&work)?;
    setup::npm_packages("benches/peers")?;
    let entry = bundle(&browser_entry(&pack::manifest()?)?, &work.join("entry.js"))?;
    let snippet = bundle(&root().join(SNIPPET), &work.join("snippet.js"))?;
    let module = root().join("pkg/dist/behest.wasm");
    let [script, module, snippet] = measure([&entry, &module, &snippet])?;
    let whole =
        Size { raw: script.raw + module.raw, gzip: script.gzip + module.gzip, brotli: script.brotli + module.brotli };

    println!("\n{:<46}{:>9}{:>9}{:>10}", "bytes", "raw", "gzip", "brotli");
    for (name, size) in [
        ("browser entry with glue, minified", script),
        ("WebAssembly module", module),
        ("behest-client in a page", whole),
        ("documented snippet (openai and supabase-js)", snippet),
    ] {
        println!("{name:<46}{:>9}{:>9}{:>10}", size.raw, size.gzip, size.brotli);
    }
    println!("ceiling{:>67}", ceiling);
    if whole.brotli > ceiling {
        bail!(
            "the browser entry is {} bytes over its ceiling of {ceiling} (size-budget.json): make it smaller",
            whole.brotli - ceiling
        );
    }
    Ok(())
}

/// What a bundler for browsers takes for `import "behest-client"`.
fn browser_entry(manifest: &Value) -> Result<PathBuf> {
    let mut entry = &manifest["exports"]["."];
    while let Some(conditions) = entry.as_object() {
        entry = ["browser", "import", "default"]
            .iter()
            .find_map(|name| conditions.get(*name))
            .context("exports[\".\"] in pkg/package.json has nothing for browsers")?;
    }
    let path = entry.as_str().context("pkg/package.json has no exports[\".\"]")?;
    Ok(root().join("pkg").join(path))
}

fn bundle(entry: &Path, into: &Path) -> Result<PathBuf> {
    let mut esbuild = npm_program("esbuild");
    esbuild.arg(entry).args(["--bundle", "--minify", "--format=esm", "--platform=browser", "--target=es2022"]);
    esbuild.args(["--external:node:*", "--legal-comments=none", "--log-level=warning"]);
    esbuild.arg(format!("--outfile={}", into.display()));
    step(&format!("bundling {}", entry.strip_prefix(root()).unwrap_or(entry).display()), &mut esbuild)?;
    Ok(into.to_path_buf())
}

fn measure<const N: usize>(files: [&Path; N]) -> Result<[Size; N]> {
    let printed = output(command("node").arg(root().join("xtask/js/sizes.mjs")).args(files))
        .context("node could not measure the files")?;
    let rows: Vec<[u64; 3]> = serde_json::from_str(&printed)?;
    let sizes: Vec<Size> = rows.iter().map(|&[raw, gzip, brotli]| Size { raw, gzip, brotli }).collect();
    <[Size; N]>::try_from(sizes).map_err(|_| anyhow::anyhow!("node measured another number of files than asked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_browser_condition_wins() {
        let nested = json!({ "exports": { ".": { "browser": { "import": "./b.js" }, "default": "./d.js" } } });
        assert_eq!(browser_entry(&nested).unwrap(), root().join("pkg").join("./b.js"));
        let plain = json!({ "exports": { ".": { "types": "./i.d.ts", "default": "./d.js" } } });
        assert_eq!(browser_entry(&plain).unwrap(), root().join("pkg").join("./d.js"));
        assert!(browser_entry(&json!({ "exports": { ".": { "node": "./n.js" } } })).is_err());
        assert!(browser_entry(&json!({})).is_err());
    }
}
