//! What crosses the network between the two halves, and how replies of other people's servers are read.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::base64::decode_url;
use crate::json::Json;
use crate::text::digits;
use crate::{Error, Reason, Secret};

/// Request headers the client may send to the token function: what its CORS answer must allow.
///
/// `apikey` and `x-client-info` are there for `supabase.functions.invoke`, which adds them.
pub const FUNCTION_REQUEST_HEADERS: &str = "authorization, content-type, apikey, x-client-info";

/// Request headers the client may send to the gateway: what its CORS answer must allow.
pub const GATEWAY_REQUEST_HEADERS: &str = "authorization, content-type, x-session-id, x-thread-id";

/// Response headers the client reads where CORS exposes them.
pub const EXPOSED_HEADERS: &str = "x-trace-id, x-request-id, retry-after";

/// The body sent to the token function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The conversation's session id, to be kept across tokens. Functions may ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// What the token function answers: the four fields browsers rely on.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenBundle {
    /// The gateway token.
    #[serde(serialize_with = "expose")]
    pub token: Secret,
    /// Its life in seconds, counted from the answer.
    pub ttl: u64,
    /// The session it is attributed to.
    pub session_id: String,
    /// Its end in seconds since the Unix epoch, by the minter's clock.
    pub expires_at: u64,
}

fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

/// A minted token as any documented server sends it: the bundle of a token function,
/// and both reply families of Behest's mint.
#[derive(Clone, Debug)]
pub struct TokenReply {
    /// The gateway token.
    pub token: Secret,
    /// Its life, counted from the answer.
    pub ttl: Duration,
    /// The session it is attributed to, if the server says so.
    pub session_id: Option<String>,
}

impl TokenReply {
    /// Reads a reply. Unknown fields are ignored; a token without a lifetime is refused.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let invalid = |what: &'static str| Error::new(Reason::InvalidBundle, what);
        let reply = Json::of_bytes(body)
            .filter(|reply| reply.is_object())
            .ok_or_else(|| invalid("the token reply is not a JSON object"))?;
        let text =
            |names: &[&str]| names.iter().find_map(|name| reply.field(name)?.text().filter(|text| !text.is_empty()));
        let number = |name: &str| match reply.field(name) {
            None => Ok(None),
            Some(value) => {
                value.number().map(Some).ok_or_else(|| invalid("the token's lifetime in the reply is not a number"))
            }
        };
        let token = text(&["token", "jwt", "access_token"]).ok_or_else(|| invalid("the token reply has no token"))?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("the token in the reply has characters that no header can carry"));
        }
        let stated = number("ttl")?.or(number("expires_in")?);
        let signed = Claims::of(&token).and_then(|claims| claims.lifetime);
        let seconds = match (stated, signed) {
            // A token never outlives its own claims, whatever the reply says.
            (Some(stated), Some(signed)) => stated.min(signed),
            (Some(seconds), None) | (None, Some(seconds)) => seconds,
            (None, None) => return Err(invalid("the token reply has neither ttl nor expires_in")),
        };
        if !(seconds > 0.0 && seconds <= LONGEST_LIFE) {
            return Err(invalid("the token's lifetime is not a positive number of seconds"));
        }
        let ttl = duration(seconds);
        let session_id = text(&["sessionId", "session_id"]).filter(|id| is_id(id));
        Ok(Self { token: Secret::new(token), ttl, session_id })
    }
}

/// A century, in seconds: what claims to live longer was not meant.
const LONGEST_LIFE: f64 = 3.2e9;

/// Seconds as others count them. What is too large for a duration becomes the largest.
pub(crate) fn duration(seconds: f64) -> Duration {
    millis(seconds * 1000.0)
}

/// Milliseconds as the engine counts them.
pub(crate) fn millis(millis: f64) -> Duration {
    Duration::from_nanos((millis * 1e6) as u64)
}

/// A session or thread id: 1 to 255 characters that a header can carry.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() <= 255 && is_header_safe(id)
}

/// How the keys begin that no browser may have: Supabase's, OpenAI's and its like, Behest's.
pub const SECRET_KEY_PREFIXES: &[&str] = &["sb_", "sk-", "sk_", "behest_", "bh_"];

/// What a text that is used as a credential is, by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "engine"), allow(dead_code))]
pub(crate) enum CredentialKind {
    /// Supabase's publishable key, which may be seen.
    Publishable,
    /// A key that no browser may have: Supabase's, Behest's, OpenAI's.
    SecretKey,
    /// Supabase's older keys: tokens of a role and of no user.
    ServiceRole,
    /// The one of them that may be seen.
    Anon,
    /// Perhaps a user's token.
    Other,
}

#[cfg_attr(not(feature = "engine"), allow(dead_code))]
impl CredentialKind {
    const PUBLISHABLE_PREFIX: &str = "sb_publishable_";
    /// Does it begin as those keys do?
    pub(crate) fn looks_secret(credential: &str) -> bool {
        let begins = |prefix: &&str| credential.starts_with(*prefix);
        !credential.starts_with(Self::PUBLISHABLE_PREFIX) && SECRET_KEY_PREFIXES.iter().any(begins)
    }

    pub(crate) fn of(credential: &str) -> Self {
        if credential.starts_with(Self::PUBLISHABLE_PREFIX) {
            return Self::Publishable;
        }
        if Self::looks_secret(credential) {
            return Self::SecretKey;
        }
        match Claims::of(credential).and_then(|claims| claims.role).as_deref() {
            Some("service_role") => Self::ServiceRole,
            Some("anon") => Self::Anon,
            _ => Self::Other,
        }
    }
}

/// Can this text be sent as a header value, unchanged? Visible ASCII and inner spaces only.
pub(crate) fn is_header_safe(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// The claims of a token, unverified: for display and debugging, never for a decision. `None` if it is not a JWT.
pub fn decode_token(token: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_slice(&payload(token)?).ok()
}

/// The three parts of a JWT, as they are written.
pub(crate) fn jwt_parts(token: &str) -> Option<[&str; 3]> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Some([header, payload, signature]),
        _ => None,
    }
}

fn payload(token: &str) -> Option<Vec<u8>> {
    let [_, payload, _] = jwt_parts(token)?;
    decode_url(payload)
}

/// The claims of a JWT that the client looks at. Nothing is verified: that is the server's part.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "engine"), allow(dead_code))]
pub(crate) struct Claims {
    pub(crate) sub: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) role: Option<String>,
    /// `exp - iat`, in seconds.
    lifetime: Option<f64>,
}

impl Claims {
    /// The claims of `token`; `None` if it is not a JWT.
    pub(crate) fn of(token: &str) -> Option<Self> {
        let payload = payload(token)?;
        let json = Json::of_bytes(&payload)?;
        let text = |name: &str| json.field(name)?.text();
        let number = |name: &str| json.field(name)?.number();
        let lifetime = number("exp").and_then(|exp| Some(exp - number("iat")?));
        Some(Self { sub: text("sub"), session_id: text("session_id"), role: text("role"), lifetime })
    }
}

/// An error body in any of the shapes that Behest, Supabase and OpenAI-compatible servers send.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorBody {
    /// The server's error code.
    pub code: Option<String>,
    /// The server's words.
    pub message: Option<String>,
    /// What to do, in the server's words.
    pub hint: Option<String>,
    /// The time to wait that the body itself states, in seconds.
    pub retry_after: Option<f64>,
}

impl ErrorBody {
    /// Reads a body. Plain text is a message too; a page of HTML says nothing.
    pub fn parse(body: &[u8]) -> Self {
        if let Some(json) = Json::of_bytes(body) {
            return Self::of(json);
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let says_something = !text.is_empty() && !text.starts_with(['<', '{', '[']) && text != "null";
        Self { message: says_something.then(|| shortened(text)), ..Self::default() }
    }

    /// Reads a body that is parsed already, or the data of a stream's error event.
    pub(crate) fn of(body: Json<'_>) -> Self {
        let nested = body.field("error").filter(|error| error.is_object());
        let find = |key: &str| nested.and_then(|error| error.field(key)).or_else(|| body.field(key));
        let text = |key: &str| find(key).and_then(short_text);
        // Supabase Auth sends a numeric `code` (the status) beside `error_code`: the word is the better one.
        let named = text("error_code").or_else(|| text("code").filter(|code| code.parse::<u16>().is_err()));
        let flat = || body.field("error").and_then(short_text).or_else(|| short_text(body));
        // FastAPI's: a text, or a list with a `msg` for each field.
        let detail = || {
            let detail = find("detail")?;
            let first = detail.items().into_iter().next().unwrap_or(detail);
            short_text(first)
                .or_else(|| ["msg", "message"].iter().find_map(|key| first.field(key).and_then(short_text)))
        };
        let message = ["message", "msg", "error_description"].iter().find_map(|key| text(key));
        Self {
            code: named.or_else(|| text("type")).or_else(|| text("code")),
            message: message.or_else(flat).or_else(detail),
            hint: text("hint"),
            retry_after: find("retry_after").and_then(Json::number),
        }
    }

    /// The error for a refusal with this status. `server` says who refused, as in "the gateway".
    pub fn into_error(self, server: &str, status: u16) -> Error {
        let code = self.code.as_deref().unwrap_or_default();
        let reason = reason_of(status, code);
        let message = match &self.message {
            Some(message) => [server, " answered ", &digits(u64::from(status)), ": ", message].concat(),
            None => [server, " answered ", &digits(u64::from(status))].concat(),
        };
        let wait = self.retry_after.filter(|seconds| *seconds >= 0.0).map(duration);
        Error::new(reason, message).with_status(status).with_code(self.code).with_hint(self.hint).with_retry_after(wait)
    }

    /// The error for what a server reports after it has sent the status of a success.
    #[cfg(feature = "engine")]
    pub(crate) fn into_reported(self, server: &str) -> Error {
        let reason = match self.code.as_deref().unwrap_or_default() {
            "rate_limited" | "rate_limit_exceeded" => Reason::RateLimited,
            "content_filter" => Reason::ContentBlocked,
            code if QUOTA_CODES.contains(&code) => Reason::QuotaExceeded,
            code => match code.parse() {
                Ok(status) => reason_of(status, ""),
                Err(_) => Reason::from_server(code).unwrap_or(Reason::ServerError),
            },
        };
        let said = self.message.as_deref().unwrap_or("no message");
        Error::new(reason, [server, " reported an error: ", said].concat()).with_code(self.code)
    }
}

/// Longer than any sentence a person would write into an error, shorter than a page of HTML.
const LONGEST_TEXT: usize = 500;

/// A 429 with one of these codes means "spent", not "slower".
const QUOTA_CODES: [&str; 4] = ["insufficient_quota", "quota_exceeded", "quota_exhausted", "budget_exceeded"];

fn short_text(value: Json<'_>) -> Option<String> {
    let number = || {
        let number = value.number()?;
        Some([if number < 0.0 { "-" } else { "" }, &digits(number.abs() as u64)].concat())
    };
    value.text().or_else(number).filter(|text| !text.is_empty()).map(|text| shortened(&text))
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// The reason for a status and code of the gateway.
fn reason_of(status: u16, code: &str) -> Reason {
    match status {
        401 => Reason::InvalidToken,
        402 => Reason::QuotaExceeded,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        408 => Reason::Timeout,
        409 => Reason::Conflict,
        429 if QUOTA_CODES.contains(&code) => Reason::QuotaExceeded,
        429 => Reason::RateLimited,
        451 if code.contains("pii") => Reason::PiiBlocked,
        451 => Reason::ContentBlocked,
        400..=499 => Reason::InvalidRequest,
        500..=599 => Reason::ServerError,
        _ => Reason::InvalidResponse,
    }
}
