//! Numbers that both sides of the npm package know are the same on both.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap()
}

/// The constants that follow this line, up to a line without one.
fn constants(file: &str, after: &str) -> Vec<(String, String)> {
    let text = read(file);
    let (_, rest) = text.split_once(&format!("{after}\n")).unwrap_or_else(|| panic!("{file} has no `{after}`"));
    let constant = |line: &str| {
        let (name, value) = line.trim().trim_start_matches("pub(super) ").strip_prefix("const ")?.split_once(" = ")?;
        Some((name.split(':').next()?.to_owned(), value.strip_suffix(';')?.to_owned()))
    };
    let found: Vec<_> = rest.lines().map_while(constant).collect();
    assert!(!found.is_empty(), "{file} has no constants after `{after}`");
    found
}

#[test]
fn what_the_engine_is_told_of_has_one_number() {
    let mut javascript =
        constants("pkg/lib/drive.js", "/** What the engine is told of, apart from what has a function of its own. */");
    // There is a `BROKEN` beside it: how a request failed.
    javascript
        .iter_mut()
        .filter(|(name, _)| name == "REQUEST_BROKEN")
        .for_each(|(name, _)| *name = "BROKEN".to_owned());
    assert_eq!(javascript, constants("src/js/mod.rs", "mod event {"));
}

#[test]
fn what_sign_in_waited_for_has_one_number() {
    let javascript =
        constants("pkg/lib/auth/driver.js", "/** What was waited for, where it was no answer with a status. */");
    let rust = constants("src/js/auth/mod.rs", "/// What was waited for, where it was no answer with a status.");
    assert_eq!(javascript, rust);
}

#[test]
fn every_kind_of_call_is_read() {
    let (javascript, rust) = (read("pkg/lib/drive.js"), read("src/js/read.rs"));
    let (_, kinds) = javascript.split_once("const KINDS = [").unwrap();
    let kinds: Vec<_> = kinds.split_once(']').unwrap().0.split(", ").map(|kind| kind.trim_matches('"')).collect();
    let (_, arms) = rust.split_once("pub(super) fn kind(").unwrap();
    let arm = |number: usize| {
        let (_, arm) = arms.split_once(&format!("\n        {number} => ")).unwrap_or_else(|| panic!("no {number}"));
        arm.split_once("\n        ").unwrap().0
    };
    let says = [
        ("ask", "Kind::Ask"),
        ("chat", "Kind::Chat"),
        ("stream", "Kind::Stream"),
        ("warm", "Kind::Warm"),
        ("threads", r#"get("/v1/threads")"#),
        ("thread", r#"thread("GET", text, "")"#),
        ("messages", r#"thread("GET", text, "/messages")"#),
        ("delete", r#"thread("DELETE", text, "")"#),
        ("models", r#"get("/v1/models")"#),
        ("usage", "{"),
    ];
    for (number, (kind, what)) in says.into_iter().enumerate() {
        assert_eq!(kinds[number], kind);
        assert!(arm(number).contains(what), "{kind} is `{}`", arm(number));
    }
    assert_eq!(kinds[says.len()..], ["raw"], "whatever else is raw");
}
