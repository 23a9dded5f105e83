//! `docs/errors.md`, which is made from the one vocabulary of errors.

use std::fs;
use std::path::Path;

use behest_client::Reason;

/// What one can do about an error, in the words of the page.
const ACTIONS: [(&str, &str); 6] = [
    (
        "retry_after",
        "Try again, after `retryAfterMs` if it is there. The client has tried itself, as often as `maxRetries` says.",
    ),
    ("re_mint", "A new token was tried already. See whether token function and gateway belong to one project."),
    ("sign_in", "Let the user sign in (again)."),
    ("upgrade", "Offer more, or wait for the next period."),
    ("fix_config", "A setting is wrong: it is the developer's, not the user's."),
    ("give_up", "Nothing helps. Say so."),
];

fn page() -> String {
    let mut page = "# Errors

Everything that goes wrong is a `BehestError` with a `reason`, which is stable: match on it, never on the message. Its `action` says
what to do about it, its `message` says so in full sentences. `status`, `code`, `retryAfterMs` and `traceId` are there if the server
told them, `cause` is what was thrown.

```js
try {
  await behest.ask(\"Hi!\");
} catch (error) {
  if (error.action === \"sign_in\") showSignIn();
  else if (error.action === \"upgrade\") showPlans();
  else say(error.message);
}
```

| action | what to do |
|---|---|
"
    .to_owned();
    for (action, what) in ACTIONS {
        page += &format!("| `{action}` | {what} |\n");
    }
    page += "\n| reason | action | hint |\n|---|---|---|\n";
    for reason in Reason::ALL {
        page += &format!("| `{}` | `{}` | {} |\n", reason.as_str(), reason.action().as_str(), reason.hint());
    }
    page
}

#[test]
fn it_is_as_the_vocabulary_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, page()).unwrap();
    }
    let is_current = fs::read_to_string(&file).is_ok_and(|text| text == page());
    assert!(is_current, "docs/errors.md is out of date: UPDATE_DOCS=1 cargo test -p xtask --test errors_page");
}

#[test]
fn it_has_every_action() {
    for reason in Reason::ALL {
        assert!(ACTIONS.iter().any(|(action, _)| *action == reason.action().as_str()));
    }
}
