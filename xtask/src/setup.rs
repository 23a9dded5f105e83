//! `cargo xtask setup`: idempotent, says what it does, asks the network only for what is missing.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::process::{apt_install, command, may_apt_install, on_path, output, root, step};
use crate::toolchain::{self, WasmToolchain};

const WASM_PACK: &str = "0.15.1";
const GECKODRIVER: &str = "0.37.1";

/// Everything the other tasks need, with its place.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) wasm: WasmToolchain,
    pub(crate) wasm_bindgen: PathBuf,
    pub(crate) wasm_pack: PathBuf,
    pub(crate) chromium: PathBuf,
    pub(crate) chromedriver: PathBuf,
    pub(crate) firefox: PathBuf,
    pub(crate) geckodriver: PathBuf,
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("rustc for wasm", self.wasm.rustc()),
            ("wasm-bindgen", &self.wasm_bindgen),
            ("wasm-pack", &self.wasm_pack),
            ("Chromium", &self.chromium),
            ("chromedriver", &self.chromedriver),
            ("Firefox", &self.firefox),
            ("geckodriver", &self.geckodriver),
        ];
        rows.iter().try_for_each(|(name, place)| writeln!(f, "{name:<16}{}", place.display()))?;
        f.write_str("everything is there")
    }
}

impl Tools {
    /// PATH with our own tools first, so that wasm-pack and wasm-bindgen's test runner are found.
    pub(crate) fn path(&self) -> Result<std::ffi::OsString> {
        let own = self.wasm_bindgen.parent().map(Path::to_path_buf);
        let inherited = env::var_os("PATH").unwrap_or_default();
        Ok(env::join_paths(own.into_iter().chain(env::split_paths(&inherited)))?)
    }
}

/// Installs what is missing and says where everything is.
pub(crate) fn ensure() -> Result<Tools> {
    node()?;
    components()?;
    let wasm = toolchain::ensure()?;
    let wasm_bindgen = cargo_tool("wasm-bindgen-cli", "wasm-bindgen", &locked_version("wasm-bindgen")?, false)?;
    let wasm_pack = cargo_tool("wasm-pack", "wasm-pack", WASM_PACK, true)?;
    let [chromium, chromedriver, firefox] = browsers()?;
    let geckodriver = match on_path(&["geckodriver"]) {
        Some(found) => found,
        None => cargo_tool("geckodriver", "geckodriver", GECKODRIVER, true)?,
    };
    npm_packages("tests/js")?;
    let tools = Tools { wasm, wasm_bindgen, wasm_pack, chromium, chromedriver, firefox, geckodriver };
    write_webdriver_config(&tools)?;
    Ok(tools)
}

/// Tools outlive a clone: they are kept once per machine and version.
pub(crate) fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("behest-client")
}

fn node() -> Result<()> {
    let version =
        output(command("node").arg("--version")).context("Node.js is missing. Install version 20 or newer")?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    if major < 20 {
        bail!("Node.js {version} is too old. Install version 20 or newer");
    }
    Ok(())
}

/// rustfmt and clippy, which minimal installations lack.
pub(crate) fn components() -> Result<()> {
    let missing: Vec<&str> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, subcommand)| output(command("cargo").args([subcommand, "--version"])).is_none())
        .map(|(component, _)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if on_path(&["rustup"]).is_none() {
        bail!("{} missing: install them with the package manager that installed cargo", missing.join(" and "));
    }
    step(
        &format!("rustup component add {}", missing.join(" ")),
        command("rustup").args(["component", "add"]).args(&missing),
    )
}

/// The version of a crate in Cargo.lock: wasm-bindgen's command line tool must be of the very same one.
fn locked_version(name: &str) -> Result<String> {
    let lock = root().join("Cargo.lock");
    if !lock.exists() {
        step("cargo generate-lockfile", command("cargo").arg("generate-lockfile"))?;
    }
    let text = fs::read_to_string(lock)?;
    let wanted = format!("name = \"{name}\"");
    text.lines()
        .skip_while(|line| *line != wanted)
        .nth(1)
        .and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
        .with_context(|| format!("{name} is not in Cargo.lock"))
}

/// A program from crates.io, of exactly this version: from PATH, from the cache, or installed now.
fn cargo_tool(package: &str, binary: &str, version: &str, locked: bool) -> Result<PathBuf> {
    let place = cache().join(format!("{package}-{version}"));
    let installed = place.join("bin").join(format!("{binary}{}", env::consts::EXE_SUFFIX));
    if installed.exists() {
        return Ok(installed);
    }
    if let Some(found) = on_path(&[binary])
        && output(Command::new(&found).arg("--version"))
            .is_some_and(|line| line.split_whitespace().any(|word| word == version))
    {
        return Ok(found);
    }
    let mut install = command("cargo");
    install.args(["install", package, "--version", version, "--quiet", "--root"]).arg(&place);
    if locked {
        install.arg("--locked");
    }
    // One target folder for all the tools: they share most of their dependencies.
    install.env("CARGO_TARGET_DIR", cache().join("build"));
    step(&format!("cargo install {package} {version} (a few minutes, once per machine)"), &mut install)?;
    Ok(installed)
}

/// Chromium, its driver, and Firefox.
fn browsers() -> Result<[PathBuf; 3]> {
    let find = || {
        [
            env::var_os("CHROME")
                .map(PathBuf::from)
                .or_else(|| on_path(&["chromium", "chromium-browser", "google-chrome"])),
            on_path(&["chromedriver"]),
            env::var_os("FIREFOX").map(PathBuf::from).or_else(|| on_path(&["firefox-esr", "firefox"])),
        ]
    };
    if find().iter().any(Option::is_none) && may_apt_install() {
        apt_install(&["chromium", "chromium-driver", "firefox-esr"])?;
    }
    match find() {
        [Some(chromium), Some(chromedriver), Some(firefox)] => Ok([chromium, chromedriver, firefox]),
        _ => bail!(
            "Chromium with chromedriver and Firefox are needed on PATH (or name them in CHROME and FIREFOX).\n\
             Debian and Ubuntu: sudo apt-get install chromium chromium-driver firefox-esr\n\
             macOS: brew install --cask chromium chromedriver firefox"
        ),
    }
}

/// The npm packages that a folder's lock file names: tools, tests and peers, never part of what users get.
pub(crate) fn npm_packages(folder: &str) -> Result<()> {
    let what = format!("npm install in {folder}");
    let folder = root().join(folder);
    let lock = fs::read(folder.join("package-lock.json")).unwrap_or_default();
    let done = folder.join("node_modules/.installed-from");
    if !lock.is_empty() && fs::read(&done).is_ok_and(|noted| noted == lock) {
        return Ok(());
    }
    // Not `npm ci`: it insists that the lock file names the binaries of every platform, and not every registry has them.
    let mut npm = command("npm");
    npm.current_dir(&folder).args(["install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"]);
    step(&what, npm.stdout(Stdio::null()))?;
    fs::copy(folder.join("package-lock.json"), done)?;
    Ok(())
}

/// A program of the npm packages in tests/js.
pub(crate) fn npm_program(name: &str) -> Command {
    let suffix = if cfg!(windows) { ".cmd" } else { "" };
    command(root().join("tests/js/node_modules/.bin").join(format!("{name}{suffix}")))
}

/// What wasm-bindgen's test runner asks of the drivers.
fn write_webdriver_config(tools: &Tools) -> Result<()> {
    let chrome = [
        "--headless",
        // Chromium refuses to run as root with its sandbox, and containers rarely allow one.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ];
    let config = json!({
        "goog:chromeOptions": { "binary": tools.chromium, "args": chrome },
        "moz:firefoxOptions": { "binary": tools.firefox, "args": ["-headless"] },
    });
    // Left alone when it is right: cargo would otherwise see a changed file on every run.
    let (file, text) = (root().join("webdriver.json"), serde_json::to_string_pretty(&config)?);
    if fs::read_to_string(&file).is_ok_and(|present| present == text) {
        return Ok(());
    }
    fs::write(file, text).context("could not write webdriver.json")
}
