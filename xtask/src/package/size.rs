//! `cargo xtask size`: what a page downloads, beside what it would download for the same without this project.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::pack;
use crate::machine::commands::{command, output, step};
use crate::machine::places::root;
use crate::tools::npm;

/// Where the other packages of the comparisons are installed.
const PEERS: &str = "benches/peers";

/// Bytes of one download, plain and compressed at the highest level.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) raw: u64,
    pub(crate) gzip: u64,
    pub(crate) brotli: u64,
}

impl std::ops::Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { raw: self.raw + other.raw, gzip: self.gzip + other.gzip, brotli: self.brotli + other.brotli }
    }
}

impl std::ops::Sub for Size {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            raw: self.raw.saturating_sub(other.raw),
            gzip: self.gzip.saturating_sub(other.gzip),
            brotli: self.brotli.saturating_sub(other.brotli),
        }
    }
}

/// size-budget.json: ceilings in bytes, compressed by brotli.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Budget {
    /// Script and WebAssembly of the browser entry.
    browser_entry_brotli_bytes: u64,
    /// What sign-in of its own adds to that.
    auth_growth_brotli_bytes: u64,
    /// Each further entry of the browser, for what it adds to what it stands on.
    further_entry_brotli_bytes: u64,
    /// The entry with the module inside the script.
    inline_entry_brotli_bytes: u64,
    /// The server module.
    server_wasm_brotli_bytes: u64,
    /// What a Leptos page grows by; without a figure it is only reported.
    pub(crate) leptos_growth_brotli_bytes: Option<u64>,
}

impl Budget {
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(root().join("size-budget.json")).context("could not read size-budget.json")?;
        serde_json::from_str(&text).context("size-budget.json is not what it should be")
    }
}

/// Two pages that can do the same, as the modules that a bundler starts from.
struct Comparison {
    ours: (&'static str, &'static str),
    /// The WebAssembly module that ours loads.
    module: &'static str,
    peer: (&'static str, &'static str),
}

/// One for each way a page gets its session; the first counts against the ceiling.
const COMPARISONS: [Comparison; 3] = [
    Comparison {
        ours: ("behest-client", r#"export * from "behest-client";"#),
        module: "behest.wasm",
        peer: ("openai", r#"export { default } from "openai";"#),
    },
    Comparison {
        ours: (
            "behest-client and supabase-js",
            r#"export * from "behest-client"; export { createClient as createSupabase } from "@supabase/supabase-js";"#,
        ),
        module: "behest.wasm",
        peer: ("documented snippet (openai, supabase-js)", r#"export * from "../../benches/peers/snippet.mjs";"#),
    },
    Comparison {
        // What lies in cookies is another page's.
        ours: (
            "behest-client/auth",
            r#"export { createClient, BehestError, decodeToken, generateSessionId } from "behest-client/auth";"#,
        ),
        module: "auth.wasm",
        peer: (
            "openai and supabase-js",
            r#"export { default } from "openai"; export { createClient } from "@supabase/supabase-js";"#,
        ),
    },
];
/// The entry with sign-in of its own, by its place among them.
const AUTH: usize = 2;

/// The browser's entry with the module inside the script.
const INLINE: &str = "behest-client/inline";

/// Further entries of the browser, each with the one it stands on beside the main one.
const FURTHER_ENTRIES: [(&str, Option<&str>); 3] = [("chat", None), ("react", Some("chat")), ("ai-sdk", None)];

/// Measures what was packed last and fails above the ceiling of size-budget.json.
pub(crate) fn report() -> Result<()> {
    let budget = Budget::read()?;
    let ceiling = budget.browser_entry_brotli_bytes;
    npm::packages(PEERS)?;
    let dist = pack::staged().join("dist");
    let server = measure(&[dist.join("server.wasm")])?[0];
    let modules = measure(&COMPARISONS.each_ref().map(|pages| dist.join(pages.module)))?;
    let entry = browser_entry(&pack::manifest()?)?;
    let scripts: Vec<PathBuf> = COMPARISONS
        .iter()
        .flat_map(|pages| [pages.ours, pages.peer])
        .map(|(name, source)| bundle(name, source, &entry))
        .collect::<Result<_>>()?;
    let scripts = measure(&scripts)?;

    println!("\n{:<46}{:>9}{:>9}{:>10}{:>8}", "bytes", "raw", "gzip", "brotli", "ratio");
    row("WebAssembly module", modules[0], "");
    for ((pages, sizes), module) in COMPARISONS.iter().zip(scripts.chunks(2)).zip(&modules) {
        let (ours, peer) = (sizes[0] + *module, sizes[1]);
        row(pages.ours.0, ours, &ratio(ours, peer));
        row(&format!("  {}", pages.peer.0), peer, "");
    }
    let auth = scripts[AUTH * 2] + modules[AUTH] - (scripts[0] + modules[0]);
    let supabase = scripts[AUTH * 2 + 1] - scripts[1];
    row("sign-in adds to behest-client", auth, &ratio(auth, supabase));
    row("  supabase-js adds to openai", supabase, "");
    println!("ceiling of what sign-in adds{:>46}", budget.auth_growth_brotli_bytes);
    let whole = (scripts[0] + modules[0]).brotli;
    println!("ceiling of behest-client{ceiling:>50}");
    let inline = measure(&[bundle(INLINE, r#"export * from "behest-client/inline";"#, &entry)?])?[0];
    row(INLINE, inline, "");
    println!("ceiling of {INLINE}{:>43}", budget.inline_entry_brotli_bytes);
    let added = further_entries(&entry, scripts[0])?;
    println!("ceiling of each further entry{:>45}", budget.further_entry_brotli_bytes);
    row("server.wasm", server, "");
    println!("ceiling of server.wasm{:>52}", budget.server_wasm_brotli_bytes);
    let over = server.brotli.saturating_sub(budget.server_wasm_brotli_bytes);
    if over > 0 {
        bail!("server.wasm is {over} bytes over its ceiling (size-budget.json): make it smaller");
    }
    if whole > ceiling {
        bail!(
            "the browser entry is {} bytes over its ceiling of {ceiling} (size-budget.json): make it smaller",
            whole - ceiling
        );
    }
    if auth.brotli > budget.auth_growth_brotli_bytes {
        bail!("sign-in is over its ceiling (size-budget.json): make it smaller");
    }
    if inline.brotli > budget.inline_entry_brotli_bytes {
        bail!("{INLINE} is over its ceiling (size-budget.json): make it smaller");
    }
    if let Some((name, size)) = added.iter().find(|(_, size)| size.brotli > budget.further_entry_brotli_bytes) {
        bail!("{name} adds {} bytes, which is over its ceiling (size-budget.json): make it smaller", size.brotli);
    }
    Ok(())
}

/// What each further entry adds to a page that has what it stands on.
fn further_entries(entry: &Path, main: Size) -> Result<Vec<(String, Size)>> {
    let main_source = r#"export * from "behest-client";"#;
    let mut added = Vec::new();
    for (name, below) in FURTHER_ENTRIES {
        let mut source = main_source.to_owned();
        let mut base = main;
        if let Some(below) = below {
            source += &format!("export * from \"behest-client/{below}\";");
            base = measure(&[bundle(&format!("behest-client with {below}"), &source, entry)?])?[0];
        }
        source += &format!("export * from \"behest-client/{name}\";");
        let size = measure(&[bundle(&format!("behest-client and {name}"), &source, entry)?])?[0] - base;
        row(&format!("behest-client/{name} adds"), size, "");
        added.push((name.to_owned(), size));
    }
    Ok(added)
}

pub(crate) fn row(name: &str, size: Size, ratio: &str) {
    println!("{name:<46}{:>9}{:>9}{:>10}{ratio:>8}", size.raw, size.gzip, size.brotli);
}

pub(crate) fn ratio(ours: Size, peer: Size) -> String {
    // Sizes of some kilobytes: exact in f64.
    #[allow(clippy::cast_precision_loss)]
    let ratio = ours.brotli as f64 / peer.brotli as f64;
    format!("{ratio:.2}")
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
    Ok(pack::staged().join(path))
}

/// Bundles a module that imports this package and the peers by their names.
fn bundle(name: &str, source: &str, entry: &Path) -> Result<PathBuf> {
    let work = root().join("target/size");
    fs::create_dir_all(&work)?;
    let stem: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let (start, bundled) = (work.join(&stem).with_extension("mjs"), work.join(&stem).with_extension("js"));
    fs::write(&start, source)?;
    let mut esbuild = npm::program("esbuild")?;
    esbuild.arg(start).args(["--bundle", "--minify", "--format=esm", "--platform=browser", "--target=es2022"]);
    // What is loaded when it is first used (`lib/lazy`), a page that does not use it does not download.
    esbuild.args([
        "--external:node:*",
        "--external:./lazy/*",
        "--external:react",
        "--legal-comments=none",
        "--log-level=warning",
    ]);
    for name in FURTHER_ENTRIES.map(|(name, _)| name).into_iter().chain(["inline", "auth"]) {
        esbuild.arg(format!("--alias:behest-client/{name}={}", entry.with_file_name(format!("{name}.js")).display()));
    }
    esbuild.arg(format!("--alias:behest-client={}", entry.display()));
    esbuild.arg(format!("--outfile={}", bundled.display()));
    esbuild.env("NODE_PATH", root().join(PEERS).join("node_modules"));
    step(&format!("bundling {name}"), &mut esbuild)?;
    Ok(bundled)
}

/// Sizes of these files, in their order.
pub(crate) fn measure(files: &[PathBuf]) -> Result<Vec<Size>> {
    let printed = output(command("node").arg(root().join("xtask/js/sizes.mjs")).args(files))
        .context("node could not measure the files")?;
    let rows: Vec<[u64; 3]> = serde_json::from_str(&printed)?;
    if rows.len() != files.len() {
        bail!("node measured another number of files than asked");
    }
    Ok(rows.into_iter().map(|[raw, gzip, brotli]| Size { raw, gzip, brotli }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_browser_condition_wins() {
        let nested = json!({ "exports": { ".": { "browser": { "import": "./b.js" }, "default": "./d.js" } } });
        assert_eq!(browser_entry(&nested).unwrap(), pack::staged().join("./b.js"));
        let plain = json!({ "exports": { ".": { "types": "./i.d.ts", "default": "./d.js" } } });
        assert_eq!(browser_entry(&plain).unwrap(), pack::staged().join("./d.js"));
        assert!(browser_entry(&json!({ "exports": { ".": { "node": "./n.js" } } })).is_err());
        assert!(browser_entry(&json!({})).is_err());
    }

    #[test]
    fn a_misspelt_budget_is_refused() {
        assert!(Budget::read().is_ok());
        let read = |fields: &str| serde_json::from_str::<Budget>(&format!("{{ {fields} }}")).is_ok();
        let all = r#""browserEntryBrotliBytes": 1, "authGrowthBrotliBytes": 1, "furtherEntryBrotliBytes": 1,
            "inlineEntryBrotliBytes": 1, "serverWasmBrotliBytes": 1"#;
        assert!(read(all));
        assert!(!read(&format!(r#"{all}, "leptosGrowthBytes": 2"#)));
        assert!(!read(r#""browserEntryBrotliBytes": 1"#));
        assert!(!read(""));
    }
}
