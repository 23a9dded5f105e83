//! Whose access token the request carries, as Supabase Auth checks it.

use axum::http::{HeaderMap, StatusCode};

use super::auth::error::AuthError;
use super::auth::session::{AUTHENTICATED, Session};
use super::state::Supabase;
use crate::domain::jwt::Invalid;
use crate::servers::bearer;
use crate::store::sessions;
use crate::store::users::{self, User};

impl Supabase {
    /// The claims of one of this server's access tokens, by signature and life alone.
    pub(crate) fn verify(&self, token: &str) -> Result<Session, Invalid> {
        self.shared.identity.session_signer.verify(token, &self.issuer, AUTHENTICATED, self.shared.clock.now_secs())
    }

    /// The signed-in user of a request to `auth/v1`: the session must still stand.
    pub(crate) async fn signed_in(&self, headers: &HeaderMap) -> Result<(User, Session), AuthError> {
        let Some(token) = bearer::token(headers) else {
            let message = "This endpoint requires a valid Bearer token";
            return Err(AuthError::new(StatusCode::UNAUTHORIZED, "no_authorization", message));
        };
        let session = self.verify(token).map_err(|invalid| {
            let message = format!("invalid JWT: unable to parse or verify signature, {}", invalid.message());
            AuthError::forbidden("bad_jwt", message)
        })?;
        let (sub, session_id) = (session.sub.clone(), session.session_id.clone());
        let found = self.shared.store.run(move |db| {
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
