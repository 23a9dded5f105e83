//! A session as Supabase Auth hands it out.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::AuthError;
use crate::domain::clock::rfc3339;
use crate::servers::supabase::state::Supabase;
use crate::store::sessions::Grant;
use crate::store::users::User;

/// The audience of every signed-in user, anonymous ones included.
pub(crate) const AUTHENTICATED: &str = "authenticated";

#[derive(Serialize)]
struct SessionClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'static str,
    exp: i64,
    iat: i64,
    email: &'a str,
    phone: &'static str,
    app_metadata: Value,
    user_metadata: &'a Value,
    role: &'a str,
    aal: &'static str,
    amr: Value,
    session_id: &'a str,
    is_anonymous: bool,
}

/// What this server reads back from its own access tokens.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Session {
    pub(crate) sub: String,
    pub(crate) session_id: String,
}

impl Supabase {
    /// Signs an access token and answers with the whole session, but not for a user who is banned.
    pub(crate) fn session(&self, grant: &Grant) -> Result<Value, AuthError> {
        if grant.user.is_banned(self.shared.clock.now_ms()) {
            return Err(AuthError::bad_request("user_banned", "User is banned"));
        }
        let now = self.shared.clock.now_secs();
        let expires_in = i64::try_from(self.session_ttl.as_secs()).unwrap_or(i64::MAX);
        let expires_at = now.saturating_add(expires_in);
        let user = &grant.user;
        let access_token = self.shared.identity.session_signer.sign(&SessionClaims {
            iss: &self.issuer,
            sub: &user.id,
            aud: AUTHENTICATED,
            exp: expires_at,
            iat: now,
            email: user.email.as_deref().unwrap_or_default(),
            phone: "",
            app_metadata: app_metadata(user),
            user_metadata: &user.metadata,
            role: &user.role,
            aal: "aal1",
            amr: json!([{ "method": grant.method, "timestamp": grant.since.div_euclid(1000) }]),
            session_id: &grant.session_id,
            is_anonymous: user.is_anonymous(),
        })?;
        Ok(json!({
            "access_token": access_token,
            "token_type": "bearer",
            "expires_in": expires_in,
            "expires_at": expires_at,
            "refresh_token": grant.refresh_token,
            "user": user_json(user),
        }))
    }
}

fn app_metadata(user: &User) -> Value {
    let mut all = user.app_metadata.clone();
    if !user.is_anonymous() {
        all["provider"] = json!(user.provider);
        all["providers"] = json!([user.provider]);
    }
    all
}

/// The user object of Supabase Auth.
pub(crate) fn user_json(user: &User) -> Value {
    let created_at = rfc3339(user.created_at);
    let mut body = json!({
        "id": user.id,
        "aud": AUTHENTICATED,
        "role": user.role,
        "email": user.email.as_deref().unwrap_or_default(),
        "phone": "",
        "app_metadata": app_metadata(user),
        "user_metadata": user.metadata,
        "identities": [],
        "created_at": created_at,
        "updated_at": rfc3339(user.updated_at),
        "is_anonymous": user.is_anonymous(),
    });
    if let Some(time) = user.last_sign_in_at {
        body["last_sign_in_at"] = json!(rfc3339(time));
    }
    if let Some(time) = user.banned_until {
        body["banned_until"] = json!(rfc3339(time));
    }
    if let Some(email) = &user.email {
        body["email_confirmed_at"] = json!(created_at);
        body["confirmed_at"] = json!(created_at);
        body["identities"] = json!([{
            // One e-mail identity per user, so the user's id names it as well.
            "identity_id": user.id,
            "id": user.id,
            "user_id": user.id,
            "provider": user.provider,
            "identity_data": { "sub": user.id, "email": email, "email_verified": true, "phone_verified": false },
            "email": email,
            "created_at": created_at,
            "updated_at": created_at,
            "last_sign_in_at": rfc3339(user.last_sign_in_at.unwrap_or(user.created_at)),
        }]);
    }
    body
}
