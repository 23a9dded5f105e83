//! The vocabulary of errors, from Rust to JavaScript.

use std::fs;
use std::path::Path;

use anyhow::Result;
use behest_client::Reason;
use behest_client::wire::SECRET_KEY_PREFIXES;
use serde_json::{Value, json};

/// Writes what JavaScript must know: each reason's action, and its hint where no server sends one.
pub(crate) fn write(script: &Path) -> Result<()> {
    let rows = Reason::ALL.iter().map(|reason| {
        let action = reason.action().as_str();
        let row = if reason.is_sent_with_its_hint() { json!([action]) } else { json!([action, reason.hint()]) };
        (reason.as_str().to_owned(), row)
    });
    let reasons = Value::Object(rows.collect());
    let prefixes = json!(SECRET_KEY_PREFIXES);
    fs::write(script, format!("export const REASONS={reasons};\nexport const SECRET_PREFIXES={prefixes};\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::machine::places::root;

    /// The declaration of a union in the shipped types, which are written by hand.
    fn union(name: &str) -> String {
        let types = fs::read_to_string(root().join("pkg/index.d.ts")).unwrap();
        types.split_once(&format!("export type {name} =")).unwrap().1.split_once("\";").unwrap().0.to_owned() + "\""
    }

    #[test]
    fn the_shipped_types_have_every_reason_with_its_action_and_hint() {
        let row =
            |reason: &Reason| format!("\n  /** `{}`: {} */\n  | \"{reason}\"", reason.action().as_str(), reason.hint());
        let right: String = Reason::ALL.iter().map(row).collect();
        assert!(union("Reason") == right, "in pkg/index.d.ts it must be: export type Reason ={right};");
    }

    #[test]
    fn the_shipped_types_have_every_action() {
        let text = union("Action");
        let types: BTreeSet<&str> = text.split('"').skip(1).step_by(2).collect();
        assert_eq!(types, Reason::ALL.iter().map(|reason| reason.action().as_str()).collect());
    }
}
