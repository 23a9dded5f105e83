//! Whose access token the request carries, as Supabase Auth checks it.

use axum::http::{HeaderMap, StatusCode, header};

use super::Supabase;
use super::error::AuthError;
use super::session::Session;
use crate::jwt::Fault;
use crate::store::sessions;
use crate::store::users::{self, User};

/// The token of `Authorization: Bearer <token>`, the scheme in any case.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Supabase {
    /// The claims of one of this server's access tokens, by signature and life alone.
    pub(crate) fn verify(&self, token: &str) -> Result<Session, Fault> {
        self.identity.session_signer.verify(token, &self.issuer, self.clock.now_secs())
    }

    /// The signed-in user of a request to `auth/v1`: the session must still stand.
    pub(crate) async fn signed_in(&self, headers: &HeaderMap) -> Result<(User, Session), AuthError> {
        let Some(token) = token(headers) else {
            let message = "This endpoint requires a valid Bearer token";
            return Err(AuthError::new(StatusCode::UNAUTHORIZED, "no_authorization", message));
        };
        let session = self.verify(token).map_err(|fault| {
            let message = format!("invalid JWT: unable to parse or verify signature, {}", fault.message());
            AuthError::forbidden("bad_jwt", message)
        })?;
        let (sub, session_id) = (session.sub.clone(), session.session_id.clone());
        let found = self.store.run(move |db| {
            let user = users::by_id(db, &sub)?;
            Ok((user, sessions::stands(db, &session_id, &sub)?))
        });
        match found.await? {
            (None, _) => Err(AuthError::forbidden("user_not_found", "User from sub claim in JWT does not exist")),
            (Some(_), false) => {
                Err(AuthError::forbidden("session_not_found", "Session from session_id claim in JWT does not exist"))
            }
            (Some(user), true) => Ok((user, session)),
        }
    }
}
