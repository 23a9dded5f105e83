//! Short names between the module and its glue. wasm-bindgen's carry hashes, which do not compress.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What wasm-opt's `--minify-imports-and-exports-and-modules` renamed, from old to new.
#[derive(Debug, Default)]
pub(crate) struct Names {
    imports: HashMap<String, String>,
    exports: HashMap<String, String>,
}

/// The one name that wasm-opt gives to every module that is imported from.
const IMPORT_MODULE: &str = "a";

impl Names {
    /// Reads the map that wasm-opt prints.
    pub(crate) fn parse(printed: &str) -> Result<Self> {
        let map: Value = serde_json::from_str(printed).context("wasm-opt's map of names is not JSON")?;
        // Imports are [module, old, new], exports [old, new].
        let read = |list: &str, old: usize| {
            map[list]
                .as_array()
                .with_context(|| format!("wasm-opt's map of names has no {list}"))?
                .iter()
                .map(|row| Some((row[old].as_str()?.to_owned(), row[old + 1].as_str()?.to_owned())))
                .collect::<Option<HashMap<_, _>>>()
                .with_context(|| format!("wasm-opt's map of names has an unknown form of {list}"))
        };
        Ok(Self { imports: read("imports", 1)?, exports: read("exports", 0)? })
    }

    /// Renames in the glue: the keys of the import object, and what is read from `wasm`.
    pub(crate) fn apply(&self, glue: &str, module: &str) -> Result<String> {
        let quoted = format!("\"{module}\":");
        if glue.matches(&quoted).count() != 1 {
            bail!("the glue does not give its imports as {quoted} once: wasm-bindgen's output changed");
        }
        let glue = glue.replacen(&quoted, &format!("\"{IMPORT_MODULE}\":"), 1);
        let mut renamed = String::with_capacity(glue.len());
        let mut imports = 0;
        let mut rest = glue.as_str();
        while let Some(start) = rest.find(is_identifier) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_identifier(c)).unwrap_or(from.len()));
            renamed.push_str(before);
            let short = if renamed.ends_with("wasm.") {
                self.exports.get(word)
            } else if after.starts_with(": function(") {
                self.imports.get(word).inspect(|_| imports += 1)
            } else {
                None
            };
            renamed.push_str(short.map_or(word, String::as_str));
            rest = after;
        }
        renamed.push_str(rest);
        if imports != self.imports.len() {
            bail!("the glue gives {imports} of the {} imports by name", self.imports.len());
        }
        Ok(renamed)
    }
}

fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = r#"{"imports":[["./x.js","__wbg_fetch_9b","b"],["./x.js","__wbg_text_52","c"]],
        "exports":[["memory","a"],["core_ask","d"]]}"#;

    #[test]
    fn only_import_keys_and_exports_are_renamed() {
        let glue = r#"const memory = 1; class Core { core_ask() { return wasm.core_ask(memory, wasm.other); } }
            const i = { __wbg_fetch_9b: function(arg0) { return fetch(arg0); }, __wbg_text_52: function() { return handleError(
            function () { return wasm.memory.buffer; }) } }; return { "./x.js": i };"#;
        let expected = r#"const memory = 1; class Core { core_ask() { return wasm.d(memory, wasm.other); } }
            const i = { b: function(arg0) { return fetch(arg0); }, c: function() { return handleError(
            function () { return wasm.a.buffer; }) } }; return { "a": i };"#;
        assert_eq!(Names::parse(MAP).unwrap().apply(glue, "./x.js").unwrap(), expected);
    }

    #[test]
    fn what_no_longer_fits_is_refused() {
        let names = Names::parse(MAP).unwrap();
        assert!(names.apply("{ __wbg_fetch_9b: function() {} }; \"./x.js\": i", "./x.js").is_err());
        assert!(names.apply("{ __wbg_fetch_9b: function() {}, __wbg_text_52: function() {} }", "./x.js").is_err());
        assert!(Names::parse("[]").is_err());
        assert!(Names::parse(r#"{"imports":[["one"]],"exports":[]}"#).is_err());
    }
}
