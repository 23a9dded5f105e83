//! Who is signed in.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::Secret;

/// A signed-in user: the verified claims of a Supabase session. Cheap to clone.
#[derive(Clone)]
pub struct User(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) id: String,
    pub(super) role: String,
    pub(super) anonymous: bool,
    pub(super) claims: Map<String, Value>,
    pub(super) token: Secret,
}

impl User {
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
        &self.0.claims
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
