//! What a command prints because somebody asked for it.

use std::fmt::Arguments;
use std::io::{self, Write as _};

use anyhow::Result;

/// Writes a line. Whoever reads no further (`head`, for example) has enough of it.
pub(super) fn say(line: Arguments<'_>) -> Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
