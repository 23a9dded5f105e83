//! Turns what wasm-bindgen generates into a factory: every call of `createGlue` gives a fresh, independent instance, and
//! everything it calls in the module passes through a guard of the caller's. What the module imports under the name `host` is the
//! caller's, too.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::names::Names;
use crate::machine::commands::output;
use crate::tools::npm;

/// When a module starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// A promise: pages must not block.
    Later,
    /// Before the call returns: on Workers, where no request may wait for what another one began.
    AtOnce,
}

/// Writes `glue.js` for what wasm-bindgen generated with `--target web`: minified when names were shortened.
pub(crate) fn write(generated: &Path, glue: &Path, names: Option<&Names>, start: Start) -> Result<()> {
    let woven = generated.with_extension("woven.js");
    let mut text = weave(&fs::read_to_string(generated)?, start)?;
    if let Some(names) = names {
        let stem = generated.file_stem().unwrap_or_default().to_string_lossy();
        text = names.apply(&text, &format!("./{stem}_bg.js"))?;
    }
    fs::write(&woven, text)?;
    let mut esbuild = npm::program("esbuild")?;
    esbuild.arg(&woven).args(["--bundle", "--format=esm", "--target=es2022", "--charset=utf8", "--log-level=error"]);
    if names.is_some() {
        esbuild.args(["--minify", "--legal-comments=none"]);
    }
    let bundled =
        output(&mut esbuild).with_context(|| format!("esbuild could not bundle {}: {esbuild:?}", woven.display()))?;
    fs::write(glue, wrap(&bundled)?)?;
    Ok(())
}

/// wasm-bindgen's own loader fetches and falls back in ways the package does not need: it hands over a compiled module.
const INIT: &str = "let started;
export default ({ module_or_path: source }) => (started ??= WebAssembly.instantiate(source, __wbg_get_imports())
  .then((instantiated) => __wbg_finalize_init(instantiated.instance ?? instantiated)));
// What the pieces of a stream cross through.
export { getUint8ArrayMemory0 as memory, getStringFromWasm0 as text };
";
const INIT_AT_ONCE: &str =
    "export default (source) => __wbg_finalize_init(new WebAssembly.Instance(source, __wbg_get_imports()));\n";

/// Sends the module's exports through the guard and puts a smaller loader in place of the generated ones.
fn weave(generated: &str, start: Start) -> Result<String> {
    let guarded = replace_once(generated, "wasm = instance.exports;", "wasm = guard(instance.exports);")?;
    // Many texts are a few letters, which a `TextDecoder` takes ten times as long for.
    let guarded = guarded.replacen(
        "function getStringFromWasm0(ptr, len) {",
        "function getStringFromWasm0(ptr, len) {
    if (len <= 16) {
        const bytes = getUint8ArrayMemory0();
        let text = '', at = ptr >>> 0;
        const end = at + len;
        while (at < end && bytes[at] < 128) text += String.fromCharCode(bytes[at++]);
        if (at === end) return text;
    }",
        1,
    );
    // What is never so, where modules with these features run at all: esbuild leaves it out.
    let mut guarded = guarded.replace("if (!('encodeInto' in cachedTextEncoder)) {", "if (false) {");
    let mut passed = guarded.lines().filter(|line| line.contains("= passStringToWasm0("));
    if passed.all(|line| line.contains("wasm.__wbindgen_realloc)")) {
        guarded = guarded.replace("if (realloc === undefined) {", "if (false) {");
    }
    let init = match start {
        Start::Later => INIT,
        Start::AtOnce => INIT_AT_ONCE,
    };
    replace_once(&guarded, "export { initSync, __wbg_init as default };", init)
}

fn replace_once(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replacen(from, to, 1)),
        found => bail!(
            "wasm-bindgen's output has `{from}` {found} times instead of once: its version changed, so \
             xtask/src/package/glue.rs must follow"
        ),
    }
}

/// Makes the top level of an ES module the body of `createGlue`, and its exports what that returns.
fn wrap(module: &str) -> Result<String> {
    let start = module.rfind("export").context("the bundled glue exports nothing")?;
    let (body, clause) = module.split_at(start);
    let names = clause
        .trim_start_matches("export")
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.trim_end_matches([';', '\n']).strip_suffix('}'))
        .with_context(|| format!("the bundled glue ends in an unexpected export clause: {clause}"))?;
    let mut init = None;
    let mut members = Vec::new();
    for export in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match export.split_once(" as ") {
            Some((local, "default")) => init = Some(local),
            Some((local, public)) => members.push(format!("{public}:{local}")),
            None => members.push(export.to_owned()),
        }
    }
    let init = init.context("the bundled glue has no default export")?;
    if body.contains("import.meta") || body.lines().any(|line| line.starts_with("import ")) {
        bail!("the bundled glue still imports something, which cannot stand inside a function");
    }
    Ok(format!(
        "export function createGlue(guard,host){{{body}return Object.assign({init},{{{}}})}}\n",
        members.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_becomes_a_factory() {
        let wrapped = wrap("let a=1;var b=guard(a);export{b as Client,version,a as default};\n").unwrap();
        assert_eq!(
            wrapped,
            "export function createGlue(guard,host){let a=1;var b=guard(a);return Object.assign(a,{Client:b,version})}\n"
        );
    }

    #[test]
    fn unminified_clauses_are_read_too() {
        let wrapped = wrap("let init = 1;\nexport {\n  Client,\n  init as default\n};\n").unwrap();
        assert!(wrapped.ends_with("return Object.assign(init,{Client})}\n"), "{wrapped}");
    }

    #[test]
    fn text_that_no_longer_fits_is_refused() {
        for module in ["let a=1;", "export{a};", "export default a;", "import x from 'y';\nexport{x as default};"] {
            assert!(wrap(module).is_err(), "{module}");
        }
        assert!(weave("wasm = instance.exports;", Start::Later).is_err());
        assert!(weave("wasm = instance.exports; wasm = instance.exports;", Start::AtOnce).is_err());
    }

    #[test]
    fn the_guard_stands_between() {
        for (start, init) in [(Start::Later, INIT), (Start::AtOnce, INIT_AT_ONCE)] {
            let woven = weave("wasm = instance.exports;\nexport { initSync, __wbg_init as default };", start).unwrap();
            assert_eq!(woven, format!("wasm = guard(instance.exports);\n{init}"));
        }
    }
}
