//! What requests to Supabase Auth have in common.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::AuthError;

const SHORTEST_PASSWORD: usize = 6;
/// As in Supabase Auth, where the hash cannot take more.
const LONGEST_PASSWORD: usize = 72;

pub(super) type Reply = Result<Json<Value>, AuthError>;

pub(super) fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, AuthError> {
    let bad = |why: serde_json::Error| {
        AuthError::bad_request("bad_json", format!("Could not parse request body as JSON: {why}"))
    };
    let mut fields: Map<String, Value> = serde_json::from_slice(&body?).map_err(bad)?;
    // As in Go, where a field that is null is one that is not there: some clients send what they leave out.
    fields.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(fields)).map_err(bad)
}

/// The address in the form it is stored, if it has the form of one.
pub(super) fn address(email: &str) -> Result<String, AuthError> {
    let email = email.trim().to_lowercase();
    if email.len() <= 255 && email.split_once('@').is_some_and(|(name, host)| is_name(name) && is_host(host)) {
        return Ok(email);
    }
    Err(AuthError::bad_request("validation_failed", "Unable to validate email address: invalid format"))
}

/// What Supabase Auth takes before the at sign: letters of ASCII, and neither quotes nor brackets.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c))
}

/// And behind it: the name of a host, with or without a dot.
fn is_host(host: &str) -> bool {
    host.split('.').all(|label| {
        let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    })
}

pub(super) fn check_password(password: &str) -> Result<(), AuthError> {
    if password.is_empty() {
        return Err(AuthError::bad_request("validation_failed", "Signup requires a valid password"));
    }
    if password.len() > LONGEST_PASSWORD {
        let message = format!("Password cannot be longer than {LONGEST_PASSWORD} characters");
        return Err(AuthError::bad_request("validation_failed", message));
    }
    if password.chars().count() < SHORTEST_PASSWORD {
        let message = format!("Password should be at least {SHORTEST_PASSWORD} characters.");
        return Err(AuthError::weak_password("length", message));
    }
    Ok(())
}

/// A key set to null is taken away.
pub(super) fn merged(metadata: Value, changes: Map<String, Value>) -> Value {
    let mut all = match metadata {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    for (name, value) in changes {
        if value.is_null() {
            all.remove(&name);
        } else {
            all.insert(name, value);
        }
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_by_supabase_auth() {
        for good in ["ada@example.com", " Ada.L+x'y@Example.COM ", "a@localhost", "a@b-c.d", "1@1"] {
            assert_eq!(address(good).map_err(|_| ()), Ok(good.trim().to_lowercase()));
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "",
            "ada",
            "@a",
            "a@",
            "a@b@c",
            "a b@c",
            "jörg@example.com",
            "a@bücher.example",
            "\u{202e}a@b",
            "<b>@c",
            "\"a\"@b",
            "a@b..c",
            "a@-b",
            "a@b-",
            &long,
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
