//! The crate as it is published: its own tests pass without the rest of the repository.

use std::process::Command;

use anyhow::Result;

use crate::machine::commands::command;
use crate::machine::places::{cache, root};
use crate::package::crate_file;

/// Packs the crate, and gives the command that tests what was packed.
pub(crate) fn tests() -> Result<Command> {
    // Outside the repository, whose workspace would take it in.
    let folder = cache().join("published");
    crate_file::unpack(&folder)?;
    let mut test = command("cargo");
    test.current_dir(folder).arg("test").env("CARGO_TARGET_DIR", root().join("target/published"));
    Ok(test)
}
