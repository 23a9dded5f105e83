//! The program says what it lacks before it serves anything.

use std::process::Command;

#[test]
fn missing_settings_are_named_at_the_start() -> std::io::Result<()> {
    let started = Command::new(env!("CARGO_BIN_EXE_example-axum")).env_clear().env("LISTEN", "127.0.0.1:0").output()?;
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && started.stdout.is_empty(), "{said}");
    for name in ["SUPABASE_URL", "BEHEST_KEY", "CORS_ORIGIN"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    Ok(())
}
