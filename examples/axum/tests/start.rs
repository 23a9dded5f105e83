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

#[test]
fn a_time_to_drain_that_is_none_is_named() -> std::io::Result<()> {
    let given = [
        ("SUPABASE_URL", "https://ref.supabase.co"),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x"),
        ("SUPABASE_SECRET_KEYS", r#"{"jobs":"sb_secret_x"}"#),
        ("BEHEST_KEY", "behest_sk_live_0123456789abcdef"),
        ("BEHEST_BASE_URL", "https://project.behest.app"),
        ("CORS_ORIGIN", "https://app.example.com"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_test_secret"),
        ("LISTEN", "127.0.0.1:0"),
        ("DRAIN_SECONDS", "soon"),
    ];
    let started = Command::new(env!("CARGO_BIN_EXE_example-axum")).env_clear().envs(given).output()?;
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && said.contains("DRAIN_SECONDS"), "{said}");
    Ok(())
}
