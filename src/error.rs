//! One vocabulary for everything that can go wrong, in both halves and in TypeScript.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::text::{cut, digits, find};

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Try again, after [`Error::retry_after`] if it is given.
    RetryAfter,
    /// Drop the gateway token and mint a new one. The client has already done so once.
    ReMint,
    /// Ask the user to sign in (again).
    SignIn,
    /// The user's allowance is spent: offer an upgrade, or wait for the next period.
    Upgrade,
    /// The application or its server is set up wrongly: a developer has to change something.
    FixConfig,
    /// Trying again as is will not help.
    GiveUp,
}

impl Action {
    /// The stable name used in JSON and TypeScript.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryAfter => "retry_after",
            Self::ReMint => "re_mint",
            Self::SignIn => "sign_in",
            Self::Upgrade => "upgrade",
            Self::FixConfig => "fix_config",
            Self::GiveUp => "give_up",
        }
    }
}

macro_rules! reasons {
    (
        local { $($(#[$local_doc:meta])* $local_variant:ident, $local_name:literal, $local_action:ident, $local_hint:literal;)* }
        client { $($(#[$doc:meta])* $variant:ident, $name:literal, $action:ident, $hint:literal;)* }
        server { $($(#[$server_doc:meta])* $server_variant:ident, $server_name:literal, $server_action:ident, $server_hint:literal;)* }
    ) => {
        /// Why something failed. The names are stable: match on them, never on message text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$local_doc])* $local_variant,)*
            $($(#[$doc])* $variant,)*
            $($(#[$server_doc])* $server_variant,)*
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Reason] = &[$(Reason::$local_variant,)* $(Reason::$variant,)* $(Reason::$server_variant,)*];

            /// The stable name used in JSON and TypeScript.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$local_variant => $local_name,)*
                    $(Reason::$variant => $name,)*
                    $(Reason::$server_variant => $server_name,)*
                }
            }

            /// What the caller can do.
            pub const fn action(self) -> Action {
                match self {
                    $(Reason::$local_variant => Action::$local_action,)*
                    $(Reason::$variant => Action::$action,)*
                    $(Reason::$server_variant => Action::$server_action,)*
                }
            }

            /// One sentence that says what to do.
            pub const fn hint(self) -> &'static str {
                match self {
                    $(Reason::$local_variant => $local_hint,)*
                    $(Reason::$variant => $hint,)*
                    $(Reason::$server_variant => $server_hint,)*
                }
            }

            /// Is it the token endpoint that says so, with a hint of its own? Then a client need not carry the sentence.
            #[doc(hidden)]
            pub const fn is_sent_with_its_hint(self) -> bool {
                // These a client finds out as well, before it sends anything.
                !matches!(self, Reason::ApiKeyAsBearer | Reason::MalformedToken | Reason::RoleRefused)
                    && matches!(self, $(Reason::$server_variant)|*)
            }

            /// The reason of this name.
            pub fn from_name(name: &str) -> Option<Reason> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
            }

            /// The reason of this name, if a server can mean it. What only a client can find out about itself, a server
            /// that uses the word means otherwise.
            #[cfg_attr(not(feature = "engine"), allow(dead_code))]
            pub(crate) fn from_server(name: &str) -> Option<Reason> {
                // Compared one by one, from the table of names: a `match` would be ten times the code.
                const REASONS: &[Reason] = &[$(Reason::$variant,)* $(Reason::$server_variant),*];
                REASONS.iter().copied().find(|reason| reason.as_str() == name)
            }
        }
    };
}

reasons! {
    // What only a client can find out about itself.
    local {
    /// Nobody is signed in; nothing was sent.
    SignedOut, "signed_out", SignIn, "Nobody is signed in. Sign in and call again.";
    /// The session source did not answer in time.
    SessionTimeout, "session_timeout", RetryAfter, "The session source did not answer in time. Check that getAccessToken always settles.";
    /// The session source failed.
    SessionFailed, "session_failed", RetryAfter, "The session could not be read. See the cause given by the session source.";
    /// The user whose call, stream or conversation it was has left; what was asked is not sent in the name of the next one.
    UserChanged, "user_changed", GiveUp, "The user who began this is no longer signed in. Begin anew as the one who is.";
    /// An option is missing or malformed.
    InvalidConfig, "invalid_config", FixConfig, "Correct the option named in the message.";
    /// No answer came: offline, DNS, connection refused, or a CORS refusal. Browsers do not say which.
    Network, "network", RetryAfter, "No answer came. Check the connection, the URL, and that the server allows this page's origin (CORS).";
    /// The caller cancelled.
    Aborted, "aborted", GiveUp, "The caller cancelled this call.";
    /// The token function answered with something that is not a token bundle.
    InvalidBundle, "invalid_bundle", FixConfig, "The token function must answer with JSON {token, ttl, sessionId, expiresAt}.";
    /// The gateway answered with something that is not the documented reply.
    InvalidResponse, "invalid_response", GiveUp, "The server's reply is not what its API documents. Check that the URL is the right one.";
    /// The local budget of a conversation would be exceeded; nothing was sent.
    BudgetExhausted, "budget_exhausted", Upgrade, "The budget set for this conversation is spent. Raise it or begin a new conversation.";
    /// A stream ended cleanly but without its end marker.
    Truncated, "truncated", RetryAfter, "The answer stopped without its end marker, so it may be incomplete. Ask again or continue from the text so far.";
    /// The connection broke in the middle of a stream.
    Disconnected, "disconnected", RetryAfter, "The connection broke during the answer. The text so far is kept; ask again to go on.";
    /// A stream went silent.
    Stalled, "stalled", RetryAfter, "The answer went silent. The text so far is kept; ask again to go on.";
    /// One event of a stream is larger than the limit.
    EventTooLarge, "event_too_large", GiveUp, "One event of the stream is larger than the limit. Check what the URL serves.";
    /// A defect of this library; the next call starts afresh.
    Internal, "internal", GiveUp, "This is a defect of behest-client. Please report it with the message.";
    /// The WebAssembly module could not be loaded.
    WasmLoadFailed, "wasm_load_failed", RetryAfter, "The .wasm file could not be loaded. The message says what came instead.";
    }

    // Said by the gateway or the token function, in whatever words.
    client {
    /// A deadline passed.
    Timeout, "timeout", RetryAfter, "No answer came in time. Try again, or raise the limit named in the message.";
    /// The token function does not accept this session.
    SessionRefused, "session_refused", SignIn, "The token function does not accept this session. Sign in again.";
    /// The gateway does not accept the token, not even a fresh one.
    InvalidToken, "invalid_token", ReMint, "The gateway does not accept the token. Check that function and gateway belong to the same project.";
    /// The allowance of the user's plan is spent.
    QuotaExceeded, "quota_exceeded", Upgrade, "The allowance of this plan is spent. Offer an upgrade, or wait for the next period.";
    /// This caller may not do this.
    Forbidden, "forbidden", GiveUp, "This caller may not do this. Check the project's settings.";
    /// No such function, model, thread or path.
    NotFound, "not_found", FixConfig, "Nothing is there. Check the URL, the function's name, and the id.";
    /// The request conflicts with the current state.
    Conflict, "conflict", RetryAfter, "The request conflicts with another one. Try again.";
    /// Too many requests; the quota itself is not spent.
    RateLimited, "rate_limited", RetryAfter, "Too many requests. Wait as long as the server says, then try again.";
    /// The request is malformed, or names a model that is not configured.
    InvalidRequest, "invalid_request", FixConfig, "Correct the request as the message says.";
    /// A guardrail found personal data.
    PiiBlocked, "pii_blocked", GiveUp, "The gateway found personal data in the text. Remove it and ask again.";
    /// A guardrail refused the content.
    ContentBlocked, "content_blocked", GiveUp, "The gateway's guardrail refused this content.";
    /// The server failed.
    ServerError, "server_error", RetryAfter, "The server failed. Try again in a moment.";
    }

    // Found out by the token endpoint: the session, then its own surroundings.
    server {
    /// The request carries no credential.
    MissingToken, "missing_token", SignIn, "Send the user's Supabase access token as `Authorization: Bearer <token>`.";
    /// The authorization header is not `Bearer <token>`.
    InvalidAuthorization, "invalid_authorization", FixConfig, "The authorization header must be `Bearer`, one space, and one access token.";
    /// A Supabase or Behest key was sent where the user's access token belongs.
    ApiKeyAsBearer, "api_key_as_bearer", FixConfig, "That is an API key, not a user's access token. Keys go into the `apikey` header.";
    /// The token is not a JWT.
    MalformedToken, "malformed_token", SignIn, "The access token is not a JWT. Send session.access_token as it is.";
    /// The token's algorithm is not accepted, or not the one its key is for.
    UnsupportedAlgorithm, "unsupported_algorithm", SignIn, "The token's algorithm does not fit the key it names.";
    /// No key of the project's key set has the token's `kid`.
    UnknownKey, "unknown_key", SignIn, "No key of this project signed the token. Check that page and function use the same Supabase project.";
    /// The token names no key, and more or fewer than one would fit.
    MissingKid, "missing_kid", SignIn, "The token names no key (`kid`), and not exactly one key of this project fits. Send session.access_token as it is.";
    /// The signature does not verify.
    InvalidSignature, "invalid_signature", SignIn, "The token's signature is not valid. Sign in again.";
    /// The session's access token has expired.
    TokenExpired, "token_expired", SignIn, "The access token has expired. Refresh the session and try again.";
    /// The token is not valid yet.
    TokenNotYetValid, "token_not_yet_valid", RetryAfter, "The token is not valid yet. Check the clocks of the servers.";
    /// The token comes from another issuer.
    WrongIssuer, "wrong_issuer", FixConfig, "The token was issued by another project. Check SUPABASE_URL.";
    /// The token is meant for another audience.
    WrongAudience, "wrong_audience", FixConfig, "The token is meant for another audience.";
    /// A claim is missing or of the wrong type.
    InvalidClaims, "invalid_claims", SignIn, "A claim of the token is missing or of the wrong type.";
    /// Supabase Auth says that the session has ended: signed out, or the user is gone.
    SessionRevoked, "session_revoked", SignIn, "The session has ended. Sign in again.";
    /// The token's role may not get a gateway token.
    RoleRefused, "role_refused", GiveUp, "Only a signed-in user may get a gateway token, not this role.";
    /// Anonymous users may not get a gateway token here.
    AnonymousRefused, "anonymous_refused", SignIn, "Anonymous users may not get a token here. Sign in with an account.";
    /// The request carries no API key.
    MissingApiKey, "missing_api_key", FixConfig, "Send one of this endpoint's keys in the `apikey` header.";
    /// The API key is not one of the configured ones.
    InvalidApiKey, "invalid_api_key", FixConfig, "The API key is not one of this endpoint's.";

    /// A webhook's signature is missing, wrong or too old.
    InvalidWebhook, "invalid_webhook", FixConfig, "Check that the endpoint has the signing secret of this sender, and its clock.";

    /// The page's origin is not on the list.
    OriginRefused, "origin_refused", FixConfig, "This origin is not allowed. Add it, exactly as the browser sends it, to CORS_ORIGIN.";
    /// Only POST and OPTIONS are served.
    MethodNotAllowed, "method_not_allowed", FixConfig, "Use POST.";
    /// The request body is too large.
    PayloadTooLarge, "payload_too_large", FixConfig, "The request body is too large.";
    /// A setting of the server is missing or malformed.
    Misconfigured, "misconfigured", FixConfig, "The server is set up wrongly. Its log names the setting.";
    /// The key set could not be fetched.
    JwksUnavailable, "jwks_unavailable", RetryAfter, "The project's signing keys could not be fetched. Try again in a moment.";
    /// Supabase Auth could not be asked whether the session still stands.
    AuthUnavailable, "auth_unavailable", RetryAfter, "Supabase Auth could not be reached. Try again in a moment.";
    /// The user's plan could not be read.
    PlanUnavailable, "plan_unavailable", RetryAfter, "The user's plan could not be read. Try again in a moment.";
    /// Behest could not be reached to mint.
    MintUnavailable, "mint_unavailable", RetryAfter, "Behest could not mint a token just now. Try again in a moment.";
    /// Behest refused to mint: the server's key or a value is not accepted.
    MintRefused, "mint_refused", FixConfig, "Behest refused to mint. Check BEHEST_KEY and BEHEST_BASE_URL.";
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, where, and what to do about it.
///
/// Cheap to clone: one failed mint is told to every call that waited for it.
#[derive(Clone, PartialEq)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    reason: Reason,
    message: Cow<'static, str>,
    hint: Option<String>,
    status: Option<u16>,
    retry_after: Option<Duration>,
    code: Option<String>,
    trace_id: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What they say is the same; where it came from may differ.
impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        (self.reason, self.status, self.retry_after) == (other.reason, other.status, other.retry_after)
            && self.message == other.message
            && (&self.hint, &self.code, &self.trace_id) == (&other.hint, &other.code, &other.trace_id)
    }
}

impl Error {
    /// An error of this reason. `message` says what happened; what to do is the reason's [hint](Reason::hint).
    ///
    /// Never put a token or key into a message.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            reason,
            message: message.into(),
            hint: None,
            status: None,
            retry_after: None,
            code: None,
            trace_id: None,
            source: None,
        }))
    }

    /// The same error with a reason that fits better.
    #[must_use]
    pub fn with_reason(self, reason: Reason) -> Self {
        self.change(|inner| inner.reason = reason)
    }

    /// With the server's own words for what to do, in place of the reason's.
    #[must_use]
    pub fn with_hint(self, hint: Option<String>) -> Self {
        self.change(|inner| inner.hint = hint)
    }

    /// With the HTTP status it came with.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    /// With the time the server asks to wait.
    #[must_use]
    pub fn with_retry_after(self, wait: Option<Duration>) -> Self {
        self.change(|inner| inner.retry_after = wait)
    }

    /// With the server's own error code.
    #[must_use]
    pub fn with_code(self, code: Option<String>) -> Self {
        self.change(|inner| inner.code = code)
    }

    /// With the id under which the server logged the request.
    #[must_use]
    pub fn with_trace_id(self, id: Option<String>) -> Self {
        self.change(|inner| inner.trace_id = id)
    }

    /// With the error that led to it, for [`source`](std::error::Error::source). It must not show a token or key.
    #[must_use]
    pub fn with_source(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Without this credential, and without anything else that looks like one: servers echo what they were sent.
    #[cfg_attr(not(feature = "engine"), allow(dead_code))]
    pub(crate) fn redact(self, credential: &str) -> Self {
        let clean = |text: &str| redacted(text, credential);
        self.change(|inner| {
            if let Some(message) = clean(&inner.message) {
                inner.message = message.into();
            }
            for text in [&mut inner.hint, &mut inner.code, &mut inner.trace_id].into_iter().flatten() {
                if let Some(redacted) = clean(text) {
                    *text = redacted;
                }
            }
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Why it failed.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// What the caller can do.
    pub fn action(&self) -> Action {
        self.0.reason.action()
    }

    /// What happened, without what to do about it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do: the server's sentence if it sent one, else the [reason's](Reason::hint). Where a client is told a reason of
    /// the token endpoint's without its sentence, it refers to the endpoint.
    pub fn hint(&self) -> &str {
        self.0.hint.as_deref().unwrap_or(USUAL_HINTS[self.0.reason as usize])
    }

    /// The server's sentence for what to do, if it sent one.
    #[cfg_attr(not(all(feature = "js", target_arch = "wasm32")), allow(dead_code))]
    pub(crate) fn own_hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The HTTP status, if an answer came at all.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// How long the server asks to wait before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The server's own error code, as it sent it.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The server's `X-Trace-Id` or `X-Request-Id`: quote it when asking for support.
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }
}

/// The hint of each reason. A client without a server beside it does not carry those that the token endpoint sends.
static USUAL_HINTS: [&str; Reason::ALL.len()] = {
    let mut hints = ["See what the token endpoint says."; Reason::ALL.len()];
    let mut place = 0;
    while place < hints.len() {
        let reason = Reason::ALL[place];
        if cfg!(feature = "server") || !reason.is_sent_with_its_hint() {
            hints[reason as usize] = reason.hint();
        }
        place += 1;
    }
    hints
};

/// The text without credentials, if it has any.
#[cfg_attr(not(feature = "engine"), allow(dead_code))]
fn redacted(text: &str, credential: &str) -> Option<String> {
    const MASK: &str = "[credential]";
    /// Shorter than any token or key worth the name.
    const SHORTEST: usize = 12;
    let (mut replaced, mut from) = (String::new(), 0);
    // What was sent is known to the letter; a letter or two could be anything.
    if credential.len() > 3 {
        while let Some(at) = find(cut(text, from, text.len()), credential) {
            replaced.push_str(cut(text, from, from + at));
            replaced.push_str(MASK);
            from += at + credential.len();
        }
    }
    replaced.push_str(cut(text, from, text.len()));
    let known = from > 0;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_credential = |word: &str| {
        word.len() >= SHORTEST && (word.starts_with("eyJ") || crate::credential::CredentialKind::looks_secret(word))
    };
    let (mut clean, mut rest, mut found) = (String::new(), &*replaced, known);
    while !rest.is_empty() {
        let word = rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let (word, after) = (cut(rest, 0, word), cut(rest, word, rest.len()));
        let hide = is_credential(word);
        clean.push_str(if hide { MASK } else { word });
        found |= hide;
        let gap = after.bytes().position(is_part).unwrap_or(after.len());
        clean.push_str(cut(after, 0, gap));
        rest = cut(after, gap, after.len());
    }
    found.then_some(clean)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(status) = self.0.status {
            f.write_str(" (status ")?;
            f.write_str(&digits(u64::from(status)))?;
            f.write_str(")")?;
        }
        f.write_str(" [")?;
        f.write_str(self.0.reason.as_str())?;
        f.write_str("] ")?;
        f.write_str(self.hint())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("reason", &inner.reason.as_str())
            .field("message", &inner.message)
            .field("hint", &self.hint())
            .field("status", &inner.status)
            .field("retry_after", &inner.retry_after)
            .field("code", &inner.code)
            .field("trace_id", &inner.trace_id)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(*reason));
            assert!(reason.hint().ends_with('.'), "{reason} has no full sentence");
        }
        assert_eq!(Reason::from_name("no_such_reason"), None);
    }

    #[test]
    fn an_error_is_one_word_and_can_cross_threads() {
        fn shared<T: Send + Sync + Clone + 'static>() {}
        shared::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
