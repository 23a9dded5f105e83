//! What Supabase Auth answers, and what its refusals mean to whoever called.

use std::time::Duration;

use super::session::{AuthSession, User};
use crate::json::Json;
use crate::wire::ErrorBody;
use crate::{Error, Reason};

const SERVER: &str = "Supabase Auth";

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) trace_id: Option<String>,
}

impl Answer {
    /// The body of a success. `secret` is what was sent and must not be shown.
    pub(crate) fn accepted(self, secret: &str) -> Result<Vec<u8>, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let mut body = ErrorBody::parse(&self.body);
        // OAuth's shape, which older servers have.
        let by_oauth = || Json::of_bytes(&self.body)?.field("error")?.text();
        body.code = body.code.or_else(by_oauth);
        let code = body.code.clone().unwrap_or_default();
        let mut error = body.into_error(SERVER, self.status).with_trace_id(self.trace_id);
        if self.retry_after.is_some() {
            error = error.with_retry_after(self.retry_after);
        }
        if let Some((reason, hint)) = meaning(self.status, &code) {
            error = error.with_reason(reason).with_hint(Some(hint.to_owned()));
        }
        Err(error.redact(secret))
    }
}

/// What a refusal means here, and what to do.
fn meaning(status: u16, code: &str) -> Option<(Reason, &'static str)> {
    let refused = |hint| Some((Reason::SessionRefused, hint));
    let invalid = |hint| Some((Reason::InvalidRequest, hint));
    match code {
        "invalid_credentials" | "invalid_grant" => refused("Check the address and the password."),
        "email_not_confirmed" | "phone_not_confirmed" => {
            refused("Open the link in the letter that came after the sign-up, or send another one.")
        }
        "otp_expired" => refused("Send a new code: this one has expired, was used, or is mistyped."),
        "bad_code_verifier" | "flow_state_not_found" | "flow_state_expired" | "bad_oauth_state" => {
            refused("Begin the sign-in again, and end it in the same browser.")
        }
        "user_already_exists" | "email_exists" | "phone_exists" => invalid("Sign in: there is an account already."),
        "weak_password" => invalid("Choose a longer or less common password."),
        "same_password" => invalid("Choose a password that differs from the old one."),
        "reauthentication_needed" | "reauthentication_not_valid" => {
            invalid("Send the code of a fresh letter as `nonce`.")
        }
        "captcha_failed" => invalid("Solve the CAPTCHA again, and give what it gave as `captcha_token`."),
        "signup_disabled"
        | "otp_disabled"
        | "anonymous_provider_disabled"
        | "email_provider_disabled"
        | "phone_provider_disabled"
        | "provider_disabled"
        | "oauth_provider_not_supported" => invalid("Switch this way to sign in on, in the project's Auth settings."),
        "session_not_found"
        | "session_expired"
        | "refresh_token_not_found"
        | "refresh_token_already_used"
        | "user_not_found"
        | "user_banned"
        | "bad_jwt" => Some((Reason::SessionRevoked, "The session has ended. Sign in again.")),
        _ if status == 401 => Some((Reason::InvalidApiKey, "Check the project's URL and its publishable key.")),
        _ => None,
    }
}

/// Somebody is signed in.
pub(super) fn session(body: &[u8], now: f64) -> Result<AuthSession, Error> {
    text(body).and_then(|json| AuthSession::parse(json, now)).ok_or_else(|| unknown("no session"))
}

/// The user alone, or within an object.
pub(super) fn user(body: &[u8]) -> Result<User, Error> {
    let json = text(body).unwrap_or_default();
    let nested = Json::parse(json).and_then(|reply| reply.field("user"));
    User::parse(nested.map_or(json, Json::raw)).ok_or_else(|| unknown("no user"))
}

fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok()
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
        Answer { status, body: body.into(), retry_after: None, trace_id: None }.accepted("hunter-2").unwrap_err()
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
        assert_eq!(user(br#"{"id":"u","email":"e@x"}"#).unwrap().id, "u");
        assert_eq!(user(br#"{"access_token":"a","user":{"id":"v"}}"#).unwrap().id, "v");
        for body in ["", "[]", "<html>", "{}"] {
            assert_eq!(user(body.as_bytes()).unwrap_err().reason(), Reason::InvalidResponse);
            assert_eq!(session(body.as_bytes(), 0.0).unwrap_err().reason(), Reason::InvalidResponse);
        }
    }
}
