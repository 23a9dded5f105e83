//! The browser's module inside a script, for the entry `./inline`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

/// A function that compiles the text it stands beside.
const COMPILE: &str = "const digit=at=>{const code=TEXT.charCodeAt(at);return(code&15)+(code>>6)*9};
export default async()=>WebAssembly.compile(Uint8Array.from({length:TEXT.length/2},(_,i)=>digit(2*i)*16+digit(2*i+1)));
";

/// Writes the script beside the module. Digits, two for each byte: compressed as servers do it, they are hardly larger than
/// the module itself, since every byte stays a unit of its own, where base64 adds a third. And they are plain ASCII, which
/// neither a bundler nor a page's encoding changes.
pub(super) fn write(module: &Path, script: &Path) -> Result<()> {
    let bytes = fs::read(module)?;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    fs::write(script, format!("const TEXT=\"{text}\";\n{COMPILE}"))?;
    Ok(())
}
