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
    let plausible = email.len() <= 255
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if plausible {
        Ok(email)
    } else {
        let message = "Unable to validate email address: invalid format";
        Err(AuthError::bad_request("validation_failed", message))
    }
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
