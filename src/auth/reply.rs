//! What Supabase Auth answers, and what its refusals mean to whoever called.

use std::time::Duration;

use super::session::{AuthSession, User};
use crate::json::Json;
use crate::wire::ErrorBody;
use crate::{Error, Reason, Secret};

const SERVER: &str = "Supabase Auth";

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) trace_id: Option<String>,
}

impl Answer {
    /// The body of a success. `secret` is what was sent and must not be shown.
    pub(super) fn accepted(self, secret: &Secret) -> Result<String, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let mut said = ErrorBody::parse(self.body.as_bytes());
        // OAuth's shape, which older servers have.
        said.code = said.code.or_else(|| Json::parse(&self.body)?.field("error")?.text());
        let code = said.code.clone().unwrap_or_default();
        let mut error = said.into_error(SERVER, self.status).with_trace_id(self.trace_id);
        if self.retry_after.is_some() {
            error = error.with_retry_after(self.retry_after);
        }
        if let Some((reason, hint)) = meaning(self.status, &code) {
            error = error.with_reason(reason).with_hint(Some(hint.to_owned()));
        }
        Err(error.redact(secret.expose()))
    }
}

pub(super) const BEGIN_AGAIN: &str = "Begin the sign-in again, and end it in the same browser.";

/// What refusals mean here, and what to do: codes, a reason and a hint. Compared one by one: a `match` would be ten times the code.
const MEANINGS: [(&str, Reason, &str); 11] = [
    ("invalid_credentials invalid_grant", Reason::SessionRefused, "Check the address and the password."),
    (
        "email_not_confirmed phone_not_confirmed",
        Reason::SessionRefused,
        "Open the link in the letter that came after the sign-up, or send another one.",
    ),
    ("otp_expired", Reason::SessionRefused, "Send a new code: this one has expired, was used, or is mistyped."),
    ("bad_code_verifier flow_state_not_found flow_state_expired bad_oauth_state", Reason::SessionRefused, BEGIN_AGAIN),
    ("user_already_exists email_exists phone_exists", Reason::InvalidRequest, "Sign in: there is an account already."),
    ("weak_password", Reason::InvalidRequest, "Choose a longer or less common password."),
    ("same_password", Reason::InvalidRequest, "Choose a password that differs from the old one."),
    (
        "reauthentication_needed reauthentication_not_valid",
        Reason::InvalidRequest,
        "Send the code of a fresh letter as `nonce`.",
    ),
    ("captcha_failed", Reason::InvalidRequest, "Solve the CAPTCHA again."),
    (
        "signup_disabled otp_disabled anonymous_provider_disabled email_provider_disabled phone_provider_disabled \
         provider_disabled oauth_provider_not_supported",
        Reason::InvalidRequest,
        "Switch this way to sign in on, in the project's Auth settings.",
    ),
    // The refresh token may be good all the same: a clock that is behind, a signing key that was replaced.
    ("bad_jwt", Reason::TokenExpired, "Refresh the session and try again."),
];
/// The session that was sent is none any more.
pub(super) const ENDED: &str = "session_not_found session_expired refresh_token_not_found refresh_token_already_used \
                                user_not_found user_banned";

/// What a refusal means here, and what to do.
fn meaning(status: u16, code: &str) -> Option<(Reason, &'static str)> {
    let known = MEANINGS.iter().find(|(codes, ..)| is_one_of(codes, code));
    match known {
        Some((_, reason, hint)) => Some((*reason, hint)),
        None if is_one_of(ENDED, code) => Some((Reason::SessionRevoked, "The session has ended. Sign in again.")),
        None if status == 401 => Some((Reason::InvalidApiKey, "Check the project's URL and its publishable key.")),
        None => None,
    }
}

/// Is it one of these words?
pub(super) fn is_one_of(words: &str, word: &str) -> bool {
    words.as_bytes().split(|byte| *byte == b' ').any(|known| known == word.as_bytes())
}

/// Somebody is signed in.
pub(super) fn session(body: &str, now: f64) -> Result<AuthSession, Error> {
    AuthSession::parse(body, now).ok_or_else(|| unknown("no session"))
}

/// The user alone, or within an object.
pub(super) fn user(body: &str) -> Result<User, Error> {
    let nested = Json::parse(body).and_then(|reply| reply.field("user"));
    User::parse(nested.map_or(body, Json::raw)).ok_or_else(|| unknown("no user"))
}

pub(super) fn unknown(what: &str) -> Error {
    Error::new(Reason::InvalidResponse, [SERVER, " answered with what is ", what].concat())
}

/// It was not reached.
pub(crate) fn no_answer(why: &str) -> Error {
    Error::new(Reason::Network, [SERVER, " gave no answer: ", why].concat())
}

/// It was not waited for any longer.
pub(crate) fn late() -> Error {
    Error::new(Reason::Timeout, [SERVER, " did not answer in time (`timeout`)"].concat())
}

/// What a provider or a letter's link says in the address, in place of a code.
pub(super) fn refused_in_address(code: &str, description: &str) -> Error {
    let (reason, hint) = meaning(400, code).unwrap_or((
        Reason::SessionRefused,
        "Begin the sign-in again. If it fails again, check the provider's settings in the project.",
    ));
    let message = [SERVER, " refused the sign-in: ", description].concat();
    Error::new(reason, message).with_code(Some(code.to_owned())).with_hint(Some(hint.to_owned())).redact("")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::Action;

    fn refusal(status: u16, body: &str) -> Error {
        Answer { status, body: body.into(), retry_after: None, trace_id: None }
            .accepted(&"hunter-2".into())
            .unwrap_err()
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (status, body, reason, action) in [
            (
                400,
                r#"{"code":"invalid_credentials","message":"Invalid login credentials"}"#,
                Reason::SessionRefused,
                Action::SignIn,
            ),
            (
                400,
                r#"{"code":400,"error_code":"invalid_credentials","msg":"Invalid"}"#,
                Reason::SessionRefused,
                Action::SignIn,
            ),
            (400, r#"{"error":"invalid_grant","error_description":"Invalid"}"#, Reason::SessionRefused, Action::SignIn),
            (
                422,
                r#"{"code":"weak_password","message":"short","weak_password":{"reasons":["length"]}}"#,
                Reason::InvalidRequest,
                Action::FixConfig,
            ),
            (403, r#"{"code":"session_not_found","message":"gone"}"#, Reason::SessionRevoked, Action::SignIn),
            (429, r#"{"code":"over_request_rate_limit","message":"slower"}"#, Reason::RateLimited, Action::RetryAfter),
            (401, r#"{"message":"Invalid API key"}"#, Reason::InvalidApiKey, Action::FixConfig),
            (503, "<html>", Reason::ServerError, Action::RetryAfter),
        ] {
            let error = refusal(status, body);
            assert_eq!((error.reason(), error.action(), error.status()), (reason, action, Some(status)), "{error}");
            assert!(error.hint().ends_with('.') && !error.hint().contains("token endpoint"), "{error}");
        }
        let echoed = refusal(400, r#"{"message":"no such password: hunter-2"}"#);
        assert!(!echoed.to_string().contains("hunter"), "{echoed}");
    }

    #[test]
    fn a_sign_up_answers_with_a_user_or_a_session() {
        assert_eq!(user(r#"{"id":"u","email":"e@x"}"#).unwrap().id, "u");
        assert_eq!(user(r#"{"access_token":"a","user":{"id":"v"}}"#).unwrap().id, "v");
        for body in ["", "[]", "<html>", "{}"] {
            assert_eq!(user(body).unwrap_err().reason(), Reason::InvalidResponse);
            assert_eq!(session(body, 0.0).unwrap_err().reason(), Reason::InvalidResponse);
        }
    }
}
