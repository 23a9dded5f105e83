//! The table of `docs/errors.md`, which is made from the one vocabulary of errors.

use std::fs;
use std::path::Path;

use behest_client::Reason;

const HEAD: &str = "| reason | action | hint |\n|---|---|---|\n";

fn rows() -> String {
    let row =
        |reason: &Reason| format!("| `{}` | `{}` | {} |\n", reason.as_str(), reason.action().as_str(), reason.hint());
    Reason::ALL.iter().map(row).collect()
}

#[test]
fn it_is_as_the_vocabulary_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = fs::read_to_string(&file).unwrap();
    let (before, table) = page.split_once(HEAD).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(&file, format!("{before}{HEAD}{}", rows())).unwrap();
    }
    assert_eq!(table, rows(), "docs/errors.md is out of date: UPDATE_DOCS=1 cargo test -p xtask --test errors_page");
    for reason in Reason::ALL {
        assert!(
            before.contains(&format!("\n| `{}` | ", reason.action().as_str())),
            "{reason} says what nobody explains"
        );
    }
}
