//! Who is signed in.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::fields::{entries, items};
use crate::Secret;
use crate::json::Json;

/// A signed-in user: the verified claims of a Supabase session. Cheap to clone.
#[derive(Clone)]
pub struct User(Arc<Inner>);

struct Inner {
    id: String,
    role: String,
    anonymous: bool,
    /// The claims as signed.
    payload: Vec<u8>,
    /// The same, read when somebody asks.
    claims: OnceLock<Map<String, Value>>,
    token: Secret,
}

impl User {
    /// `payload`: the claims as signed, found to be an object.
    pub(super) fn new(id: String, role: String, anonymous: bool, payload: Vec<u8>, token: Secret) -> Self {
        Self(Arc::new(Inner { id, role, anonymous, payload, claims: OnceLock::new(), token }))
    }

    /// The user's id: the claim `sub`, a UUID with Supabase Auth.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The claim `role`: `authenticated` unless the endpoint accepts others.
    pub fn role(&self) -> &str {
        &self.0.role
    }

    /// Did the user sign in without an account?
    pub fn is_anonymous(&self) -> bool {
        self.0.anonymous
    }

    /// All claims, as signed. What users can write themselves, such as `user_metadata`, must decide nothing.
    pub fn claims(&self) -> &Map<String, Value> {
        self.0.claims.get_or_init(|| match value(self.json()) {
            Value::Object(claims) => claims,
            _ => Map::new(),
        })
    }

    /// All claims, as JSON.
    pub(super) fn json(&self) -> &str {
        std::str::from_utf8(&self.0.payload).unwrap_or_default()
    }

    /// The access token itself, to read the user's own rows under row level security.
    pub fn access_token(&self) -> &Secret {
        &self.0.token
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.0.id).field("role", &self.0.role).finish_non_exhaustive()
    }
}

/// As `JSON.parse` reads it: of two fields with one name, the last; half a surrogate pair becomes U+FFFD.
fn value(text: &str) -> Value {
    if let Some(fields) = entries(text) {
        return Value::Object(fields.into_iter().map(|(name, field)| (name, value(field.raw()))).collect());
    }
    if let Some(all) = items(text) {
        return Value::Array(all.into_iter().map(|item| value(item.raw())).collect());
    }
    match Json::parse(text).and_then(Json::text) {
        Some(string) => Value::String(string),
        // What is too large for a number is null, as it is in JSON.
        None => serde_json::from_str(text).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_read_as_javascript_reads_them() {
        let text =
            r#" {"a": [1, -2.5, true, null, "x\u00e9"], "b": {"c": {}}, "f": 1e999, "d": "\ud800", "e": 1, "e": 2} "#;
        let read = json!({"a": [1, -2.5, true, null, "xé"], "b": {"c": {}}, "f": null, "d": "\u{fffd}", "e": 2});
        assert_eq!(value(text), read);
    }
}
