//! What crosses the network between the two halves, and how replies of other people's servers are read.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

pub use crate::credential::{SECRET_KEY_PREFIXES, decode_token};

use crate::credential::Claims;
use crate::json::{Json, number};
use crate::text::{digits, find, lossy, small_number, split_once};
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
            .ok_or_else(|| invalid("the token reply is not a JSON object"))?
            .fields();
        let text =
            |names: &[&str]| names.iter().find_map(|name| reply.get(name)?.text().filter(|text| !text.is_empty()));
        let number = |name: &str| match reply.get(name) {
            None => Ok(None),
            Some(value) => {
                value.number().map(Some).ok_or_else(|| invalid("the token's lifetime in the reply is not a number"))
            }
        };
        let token = text(&["token", "jwt", "access_token"]).ok_or_else(|| invalid("the token reply has no token"))?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid("the token in the reply has characters that no header can carry"));
        }
        let stated = match number("ttl")? {
            None => number("expires_in")?,
            ttl => ttl,
        };
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
#[cfg_attr(not(any(feature = "engine", feature = "server")), allow(dead_code))]
pub(crate) fn as_millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The time of so many milliseconds.
pub(crate) fn millis(millis: f64) -> Duration {
    Duration::from_nanos((millis * 1e6) as u64)
}

/// Whole milliseconds for a timer of JavaScript's, which takes a signed 32-bit number of them: more fires at once.
#[cfg(target_arch = "wasm32")]
#[cfg_attr(not(any(feature = "client", feature = "server")), allow(dead_code))]
pub(crate) fn timer_millis(time: Duration) -> u32 {
    as_millis(time).ceil().min(f64::from(i32::MAX)) as u32
}

/// `Retry-After` as seconds, as decimals (which some gateways send), or as an HTTP date. `date` is that date, if it is one;
/// it and `now` are in milliseconds since the Unix epoch.
#[cfg_attr(not(feature = "engine"), allow(dead_code))]
pub(crate) fn retry_after(value: &str, date: Option<f64>, now: f64) -> Option<Duration> {
    let value = value.trim_ascii();
    // An HTTP date begins with the name of a day. Other texts that a date parser takes are none.
    if value.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
        return Some(millis((date? - now).max(0.0)));
    }
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = split_once(value, b'.').unwrap_or((value, "0"));
    (digits(whole) && digits(fraction)).then(|| duration(number(value)))
}

/// An HTTP date, in milliseconds since the Unix epoch. (Browsers have a parser of their own.)
#[cfg(any(feature = "server", all(feature = "client", not(target_arch = "wasm32"))))]
pub(crate) fn http_date(text: &str) -> Option<f64> {
    let date = httpdate::parse_http_date(text.trim_ascii()).ok()?;
    Some(as_millis(date.duration_since(std::time::UNIX_EPOCH).ok()?))
}

/// The version 4 UUID ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-4)) of these random bytes.
#[cfg_attr(not(feature = "engine"), allow(dead_code))]
pub(crate) fn uuid_v4(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0F | 0x40;
    random[8] = random[8] & 0x3F | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in random.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0x0F] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// A session or thread id: 1 to 255 visible ASCII characters, spaces within, so that a header can carry it.
pub fn is_id(id: &str) -> bool {
    id.len() <= 255 && is_header_safe(id)
}

/// Can this text be sent as a header value, unchanged? Visible ASCII and inner spaces only.
pub(crate) fn is_header_safe(value: &str) -> bool {
    !value.is_empty()
        && value.trim_ascii() == value
        && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
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
        let text = lossy(body);
        let text = text.trim_ascii();
        let says_something = !matches!(text.as_bytes().first(), None | Some(b'<' | b'{' | b'[')) && text != "null";
        Self { message: says_something.then(|| shortened(text)), ..Self::default() }
    }

    /// Reads a body that is parsed already, or the data of a stream's error event.
    pub(crate) fn of(body: Json<'_>) -> Self {
        // Gemini's bodies are lists of one, Cloudflare's errors are a list.
        let body = first(body);
        let fields = body.fields();
        let error = fields.get("error").map(first);
        let nested = error.filter(|error| error.is_object()).map(Json::fields);
        let find = |key: &str| nested.as_ref().and_then(|error| error.get(key)).or_else(|| fields.get(key));
        let text = |key: &str| find(key).and_then(short_text);
        // Supabase Auth sends a numeric `code` (the status) beside `error_code`: the word is the better one.
        let named = text("error_code").or_else(|| text("code").filter(|code| small_number(code).is_none()));
        let flat = || error.and_then(short_text).or_else(|| short_text(body));
        // FastAPI's: a text, or a list with a `msg` for each field.
        let detail = || {
            let first = first(find("detail")?);
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
            code if is_spent(code) => Reason::QuotaExceeded,
            code => match small_number(code) {
                Some(status) => reason_of(status, ""),
                None => Reason::from_server(code).unwrap_or(Reason::ServerError),
            },
        };
        let said = self.message.as_deref().unwrap_or("no message");
        Error::new(reason, [server, " reported an error: ", said].concat()).with_code(self.code)
    }
}

/// Longer than any sentence a person would write into an error, shorter than a page of HTML.
const LONGEST_TEXT: usize = 500;

/// A 429 with one of these codes means "spent", not "slower".
fn is_spent(code: &str) -> bool {
    matches!(code, "insufficient_quota" | "quota_exceeded" | "quota_exhausted" | "budget_exceeded")
}

/// A list's first item; anything else as it is.
fn first(json: Json<'_>) -> Json<'_> {
    json.first_item().unwrap_or(json)
}

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
        429 if is_spent(code) => Reason::QuotaExceeded,
        429 => Reason::RateLimited,
        400 if code == "content_filter" => Reason::ContentBlocked,
        451 if find(code, "pii").is_some() => Reason::PiiBlocked,
        451 => Reason::ContentBlocked,
        400..=499 => Reason::InvalidRequest,
        500..=599 => Reason::ServerError,
        _ => Reason::InvalidResponse,
    }
}
