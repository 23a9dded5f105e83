//! Writes the glue of a WebAssembly module. Part of the workspace so that it is of the same version as the library in the
//! module, and so that nobody waits for the larger wasm-bindgen-cli, which only the tests in browsers need.

use anyhow::{Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder, name, options @ ..] = arguments.as_slice() else {
        bail!("usage: xtask-bindgen MODULE FOLDER NAME [--debug]")
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).web(true)?.out_name(name);
    bindgen.typescript(false).omit_default_module_path(true).debug(options == ["--debug"]);
    bindgen.generate(folder)
}
