//! What a credential is by its looks: the prefixes of keys, and the claims of a JWT, unverified.

use crate::base64::decode_url;
use crate::json::Json;
use crate::text::split_once;

/// How the keys begin that no browser may have: Supabase's, OpenAI's and its like, Behest's.
pub const SECRET_KEY_PREFIXES: &[&str] = &["sb_", "sk-", "sk_", "behest_", "bh_"];

/// Is this an API key, to be seen by its beginning? A publishable one is one, too.
pub(crate) fn is_api_key(text: &str) -> bool {
    SECRET_KEY_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

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
        !credential.starts_with(Self::PUBLISHABLE_PREFIX) && is_api_key(credential)
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

/// The claims of a token, unverified: for display and debugging, never for a decision. `None` if it is not a JWT.
///
/// ```
/// use behest_client::wire::decode_token;
///
/// let claims = decode_token("e30.eyJzaWQiOiJzLTEiLCJuYW1lIjoiWm_DqyJ9.c2ln").unwrap();
/// assert_eq!((claims["sid"].as_str(), claims["name"].as_str()), (Some("s-1"), Some("Zoë")));
/// for bad in ["", "a.b", "a.!!.c", "a.e30.c.d"] {
///     assert!(decode_token(bad).is_none(), "{bad}");
/// }
/// ```
pub fn decode_token(token: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_slice(&payload(token)?).ok()
}

/// The three parts of a JWT, as they are written.
pub(crate) fn jwt_parts(token: &str) -> Option<[&str; 3]> {
    let (header, rest) = split_once(token, b'.')?;
    let (payload, signature) = split_once(rest, b'.')?;
    split_once(signature, b'.').is_none().then_some([header, payload, signature])
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
    pub(crate) lifetime: Option<f64>,
}

impl Claims {
    /// The claims of `token`; `None` if it is not a JWT.
    pub(crate) fn of(token: &str) -> Option<Self> {
        let payload = payload(token)?;
        let claims = Json::of_bytes(&payload)?.fields();
        let text = |name: &str| claims.get(name)?.text();
        let number = |name: &str| claims.get(name)?.number();
        let lifetime = number("exp").and_then(|exp| Some(exp - number("iat")?));
        Some(Self { sub: text("sub"), session_id: text("session_id"), role: text("role"), lifetime })
    }
}
