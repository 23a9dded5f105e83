//! The program says what it lacks before it serves anything.

use std::ffi::OsStr;
use std::io;
use std::process::Command;

const GIVEN: [(&str, &str); 8] = [
    ("SUPABASE_URL", "https://ref.supabase.co"),
    ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x"),
    ("SUPABASE_SECRET_KEYS", r#"{"jobs":"sb_secret_x"}"#),
    ("BEHEST_KEY", "behest_sk_live_0123456789abcdef"),
    ("BEHEST_BASE_URL", "https://project.behest.app"),
    ("CORS_ORIGIN", "https://app.example.com"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_test_secret"),
    // It never serves, whatever it passes over.
    ("LISTEN", "nowhere"),
];

/// What the program says that does not start with `GIVEN` and this variable.
fn complaint(name: &str, value: &OsStr) -> io::Result<String> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_example-axum"));
    let started = program.env_clear().envs(GIVEN).env(name, value).output()?;
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success() && started.stdout.is_empty(), "{said}");
    Ok(said)
}

#[test]
fn missing_settings_are_named_at_the_start() -> io::Result<()> {
    let started = Command::new(env!("CARGO_BIN_EXE_example-axum")).env_clear().env("LISTEN", "127.0.0.1:0").output()?;
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && started.stdout.is_empty(), "{said}");
    for name in ["SUPABASE_URL", "BEHEST_KEY", "CORS_ORIGIN"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    Ok(())
}

#[test]
fn a_time_to_drain_that_is_none_is_named() -> io::Result<()> {
    let said = complaint("DRAIN_SECONDS", OsStr::new("soon"))?;
    assert!(said.contains("DRAIN_SECONDS"), "{said}");
    Ok(())
}

/// Taken for absent it would let in whom it was to keep out.
#[cfg(unix)]
#[test]
fn a_setting_that_is_no_text_is_named_and_not_passed_over() -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;

    for name in ["SESSION_ROLES", "CHECK_SESSION", "BEHEST_SUPABASE_PUBLIC_URL"] {
        let said = complaint(name, OsStr::from_bytes(b"member\xff"))?;
        let setting = name.trim_start_matches("BEHEST_");
        assert!(
            said.contains(&format!("{setting} holds bytes that are not UTF-8")) && !said.contains("member"),
            "{said}"
        );
    }
    Ok(())
}
