//! `cargo xtask pack`: the npm package, from Rust to tarball.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde_json::Value;

use super::glue::{self, Start};
use super::names::Names;
use super::{inline, reasons};
use crate::machine::artifacts::{self, Artifact};
use crate::machine::commands::{command, output, step};
use crate::machine::places::root;
use crate::tools::toolchain::TARGET;
use crate::tools::{Tools, npm};

/// Unwinding, source locations and `Debug` output are what a small module can do without: a panic traps at once, and the
/// guard in the package turns the trap into a rejected promise. So are references to JavaScript's objects: what crosses are
/// strings, bytes and numbers.
const SMALLEST: &str = "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none -Zfmt-debug=none \
                        -Ctarget-feature=-reference-types";

/// The same flags wherever the crate is built for browsers, so that the builds share their work.
pub(crate) const BROWSER_FEATURES: [&str; 3] = ["--no-default-features", "--features", "js"];

/// Those of the module with sign-in.
const AUTH_FEATURES: [&str; 3] = ["--no-default-features", "--features", "js,sign-in"];

/// The features of the server module.
pub(crate) const SERVER_FEATURES: [&str; 3] = ["--no-default-features", "--features", "edge"];

/// One WebAssembly module with its glue.
struct Module {
    /// Of the module, without its ending.
    name: &'static str,
    glue: &'static str,
    features: [&'static str; 3],
    opt_level: &'static str,
    start: Start,
    /// The last passes of wasm-opt, after which brotli finds most in it.
    last_passes: &'static [&'static str],
}

const BROWSER: Module = Module {
    name: "behest",
    glue: "glue.js",
    features: BROWSER_FEATURES,
    opt_level: "z",
    start: Start::Later,
    last_passes: &["-Oz", "--reorder-functions", "-Oz", "--reorder-locals"],
};
/// The same with sign-in.
const AUTH: Module = Module { name: "auth", glue: "auth-glue.js", features: AUTH_FEATURES, ..BROWSER };
const SERVER: Module = Module {
    name: "server",
    glue: "server-glue.js",
    features: SERVER_FEATURES,
    opt_level: "s",
    start: Start::AtOnce,
    last_passes: &["-Oz", "-Oz", "--reorder-locals"],
};

/// Whether a toolchain will do that cannot build the module as it is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Larger {
    Allowed,
    Refused,
}

/// How the module is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As shipped: smallest code. About a minute the first time.
    Release(Larger),
    /// Quick, with names and panic messages. Never packed into a tarball.
    Dev,
}

/// Fills `pkg/dist`.
pub(crate) fn dist(tools: &Tools, build: Build) -> Result<PathBuf> {
    let dist = for_pages(tools, build)?;
    inline::write(&dist.join("behest.wasm"), &dist.join("behest-bytes.js"))?;
    AUTH.build(tools, build, &dist)?;
    SERVER.build(tools, build, &dist)?;
    write_bytes(&dist.join("server.wasm"), &dist.join("server-bytes.js"))?;
    Ok(dist)
}

/// Fills `pkg/dist` with what a page needs.
pub(crate) fn for_pages(tools: &Tools, build: Build) -> Result<PathBuf> {
    let dist = root().join("pkg/dist");
    fs::create_dir_all(&dist)?;
    BROWSER.build(tools, build, &dist)?;
    reasons::write(&dist.join("reasons.js"))?;
    Ok(dist)
}

impl Module {
    fn build(&self, tools: &Tools, build: Build, dist: &Path) -> Result<()> {
        let module = compile(tools, build, self)?;
        let work = module.with_file_name("wasm-package");
        fs::create_dir_all(&work)?;
        bind(tools, &module, &work, build, self.name)?;
        let bound = work.join(format!("{}_bg.wasm", self.name));
        let shipped = dist.join(self.name).with_extension("wasm");
        let names = match build {
            Build::Dev => {
                fs::copy(&bound, &shipped)?;
                None
            }
            Build::Release(_) => Some(optimise(&bound, &shipped, self.last_passes)?),
        };
        glue::write(&work.join(self.name).with_extension("js"), &dist.join(self.glue), names.as_ref(), self.start)
    }
}

/// The module inside a script, for hosts whose deployments take scripts only, such as Supabase's functions.
fn write_bytes(module: &Path, script: &Path) -> Result<()> {
    let text = base64::engine::general_purpose::STANDARD.encode(fs::read(module)?);
    // The loop is for hosts without the other, such as Node.js 20; there it is some milliseconds of a cold start. A call for
    // each letter would be more.
    let read = "function decode(){\n\
                if(Uint8Array.fromBase64)return Uint8Array.fromBase64(TEXT);\n\
                const text=atob(TEXT),bytes=new Uint8Array(text.length);\n\
                for(let i=0;i<bytes.length;i++)bytes[i]=text.charCodeAt(i);\n\
                return bytes;\n}\nexport default decode();\n";
    fs::write(script, format!("const TEXT=\"{text}\";\n{read}"))?;
    Ok(())
}

/// Fills `pkg/dist` and packs `pkg` into a tarball, whose path is given back.
pub(crate) fn tarball(tools: &Tools, larger: Larger) -> Result<PathBuf> {
    let package = root().join("pkg");
    let manifest = manifest()?;
    let version = manifest["version"].as_str().context("pkg/package.json has no version")?;
    if version != env!("CARGO_PKG_VERSION") {
        bail!("pkg/package.json says version {version}, Cargo.toml says {}", env!("CARGO_PKG_VERSION"));
    }
    dist(tools, Build::Release(larger))?;
    // npm packs a licence only from the package's own folder.
    fs::copy(root().join("LICENSE-MIT"), package.join("LICENSE")).context("could not copy LICENSE-MIT")?;
    for old in tarballs(&package)? {
        fs::remove_file(old)?;
    }
    let staging = root().join(STAGING);
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging)?;
    let written = npm_pack(&package, &staging)?;
    step("unpacking", command("tar").arg("-xzf").arg(written).arg("-C").arg(&staging))?;
    let shipped = staged();
    make_eager(&shipped)?;
    let tarball = npm_pack(&shipped, &package)?;
    let packed = contents(&tarball)?;
    let missing: Vec<String> = named_files(&manifest).into_iter().filter(|name| !packed.contains(name)).collect();
    if !missing.is_empty() {
        bail!("pkg/package.json names files that its tarball lacks (see its \"files\"): {}", missing.join(", "));
    }
    Ok(tarball)
}

/// Where the package is made ready.
const STAGING: &str = "target/npm";

/// The files of the package as they are shipped, once it was packed.
pub(crate) fn staged() -> PathBuf {
    root().join(STAGING).join("package")
}

/// What runs before the first request of a page leaves.
const FIRST: [&str; 9] = [
    "dist/glue.js",
    "lib/body.js",
    "lib/client.js",
    "lib/drive.js",
    "lib/early.js",
    "lib/options.js",
    "lib/session.js",
    "lib/token.js",
    "lib/wasm.js",
];

/// Has what runs first compiled with its script: see `xtask/js/eager.mjs`.
fn make_eager(package: &Path) -> Result<()> {
    npm::packages("tests/js")?;
    let files = FIRST.map(|name| package.join(name));
    step("parentheses around functions", command("node").arg(root().join("xtask/js/eager.mjs")).args(files))
}

/// Packs a folder into a tarball in another one.
fn npm_pack(folder: &Path, into: &Path) -> Result<PathBuf> {
    let mut npm = command("npm");
    npm.current_dir(folder).args(["pack", "--ignore-scripts", "--loglevel=error"]).stdout(Stdio::null());
    step("npm pack", npm.arg("--pack-destination").arg(into))?;
    let [tarball] = <[PathBuf; 1]>::try_from(tarballs(into)?).map_err(|found| {
        anyhow::anyhow!("npm pack should have left one tarball in {}, there are {}", into.display(), found.len())
    })?;
    Ok(tarball)
}

/// `pkg/package.json`.
pub(crate) fn manifest() -> Result<Value> {
    let file = root().join("pkg/package.json");
    let text = fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
    serde_json::from_str(&text).context("pkg/package.json is not JSON")
}

fn compile(tools: &Tools, build: Build, module: &Module) -> Result<PathBuf> {
    let wasm = tools.wasm()?;
    let mut cargo = wasm.cargo();
    cargo.args(["rustc", "--package", "behest-client", "--lib", "--crate-type", "cdylib", "--target", TARGET]);
    cargo.args(module.features);
    // Flags that happen to be set on a machine must not make another module: they would take the place of ours.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    if let Build::Release(larger) = build {
        cargo.args(["--profile", "wasm-release"]).env("CARGO_PROFILE_WASM_RELEASE_OPT_LEVEL", module.opt_level);
        match (wasm.lacks_for(SMALLEST), larger) {
            (None, _) => {
                cargo
                    .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"])
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", SMALLEST);
            }
            (Some(lack), Larger::Allowed) => eprintln!("    {lack}: the module gets about a quarter larger"),
            (Some(lack), Larger::Refused) => bail!(
                "{lack}, so the module would not be the one that is tested and shipped, but about a quarter larger: its \
                 standard library would not be built for size, and its panics would carry their messages. \
                 With --allow-larger it is made all the same"
            ),
        }
    }
    let what = match build {
        Build::Release(_) => "(about a minute the first time)",
        Build::Dev => "unoptimised",
    };
    let built = artifacts::build(&format!("compiling {}.wasm {what}", module.name), &mut cargo)?;
    let library = built.iter().find(|artifact| artifact.target == "behest_client");
    library.and_then(Artifact::wasm).cloned().context("cargo built no behest_client.wasm")
}

fn bind(tools: &Tools, module: &Path, work: &Path, build: Build, name: &str) -> Result<()> {
    let mut bindgen = command(tools.bindgen()?);
    bindgen.args([module, work]).arg(name);
    if build == Build::Dev {
        bindgen.arg("--debug");
    }
    step("wasm-bindgen", &mut bindgen)
}

/// Rust's stack lies lowest in the memory, so that what overflows it traps: nothing else has an address in the first kilobyte, and
/// pointers need no check against wrapping around.
const STACK_LIES_LOWEST: &str = "--low-memory-unused";

fn optimise(bound: &Path, shipped: &Path, last_passes: &[&str]) -> Result<Names> {
    let small = bound.with_extension("small.wasm");
    let mut optimise = npm::program("wasm-opt")?;
    optimise.args(["-Oz", "--converge", STACK_LIES_LOWEST]).arg(bound).arg("-o").arg(&small);
    step("wasm-opt -Oz", &mut optimise)?;
    // Renaming once, in a run of its own: it prints the map of names.
    let mut rename = npm::program("wasm-opt")?;
    rename.args(["--minify-imports-and-exports-and-modules", "--strip-debug", "--strip-producers"]).args(last_passes);
    rename.args(["--strip-target-features", STACK_LIES_LOWEST]).arg(small).arg("-o").arg(shipped);
    Names::parse(&output(&mut rename).with_context(|| format!("wasm-opt failed: {rename:?}"))?)
}

fn tarballs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tgz") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The files of a packed npm package, relative to its root.
fn contents(tarball: &Path) -> Result<Vec<String>> {
    let list = output(command("tar").arg("-tzf").arg(tarball)).context("`tar` could not list the tarball")?;
    Ok(list.lines().map(|line| line.strip_prefix("package/").unwrap_or(line).to_owned()).collect())
}

/// Every file that a package.json promises: exports, main, module, types.
fn named_files(manifest: &Value) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(path) if !path.contains('*') => {
                into.push(path.strip_prefix("./").unwrap_or(path).to_owned());
            }
            Value::Object(conditions) => conditions.values().for_each(|value| collect(value, into)),
            Value::Array(fallbacks) => fallbacks.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut files = Vec::new();
    for field in ["exports", "main", "module", "types", "browser"] {
        collect(&manifest[field], &mut files);
    }
    files.sort();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_promised_file_is_found() {
        let manifest = json!({
            "exports": {
                ".": { "types": "./index.d.ts", "browser": "./index.js", "default": ["./index.js", "./other.js"] },
                "./dist/*": "./dist/*",
                "./react": "./react.js",
                "./private": null,
            },
            "types": "index.d.ts",
        });
        assert_eq!(named_files(&manifest), ["index.d.ts", "index.js", "other.js", "react.js"]);
    }
}
