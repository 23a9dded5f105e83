//! Signs gateway tokens with the tenant's own key.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;

use super::platform::crypto::{SigningKey, random_uuid};
use super::settings::Reader;
use crate::{Error, Reason, Secret};

const DEFAULT_ISSUER: &str = "https://api.behest.ai";
const DEFAULT_AUDIENCE: &str = "behest";

/// A private key and what else its tokens need.
#[derive(Debug)]
pub(super) struct Signer {
    key: SigningKey,
    kid: String,
    tenant: String,
    project: String,
    issuer: String,
    audience: String,
}

/// What differs from token to token.
pub(super) struct Subject<'a> {
    pub(super) user: &'a str,
    pub(super) session: &'a str,
    pub(super) tier: Option<u32>,
    /// When the token begins, in seconds since the Unix epoch.
    pub(super) from: u64,
    /// When it ends.
    pub(super) until: u64,
}

/// The claims of a token, in the order in which Behest's own SDKs write them.
#[derive(Serialize)]
struct GatewayClaims<'a> {
    tid: &'a str,
    pid: &'a str,
    uid: &'a str,
    role: &'static str,
    scp: [&'static str; 0],
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<u32>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

impl Signer {
    pub(super) fn read(reader: &mut Reader<'_>, key: SigningKey) -> Option<Self> {
        let kid = reader.required("BEHEST_KID");
        let tenant = reader.required("BEHEST_TENANT_ID");
        let project = reader.required("BEHEST_PROJECT_ID");
        Some(Self {
            key,
            kid: kid?.to_owned(),
            tenant: tenant?.to_owned(),
            project: project?.to_owned(),
            issuer: reader.text("BEHEST_ISSUER").unwrap_or(DEFAULT_ISSUER).to_owned(),
            audience: reader.text("BEHEST_AUDIENCE").unwrap_or(DEFAULT_AUDIENCE).to_owned(),
        })
    }

    /// A token for `subject`.
    pub(super) async fn sign(&self, subject: &Subject<'_>) -> Result<Secret, Error> {
        let claims = GatewayClaims {
            tid: &self.tenant,
            pid: &self.project,
            uid: subject.user,
            role: "user",
            scp: [],
            iss: &self.issuer,
            aud: &self.audience,
            iat: subject.from,
            nbf: subject.from,
            exp: subject.until,
            jti: random_uuid()?,
            sid: subject.session,
            tier: subject.tier,
        };
        let token = self.encode(&claims).await;
        token
            .map(Secret::new)
            .ok_or_else(|| Error::new(Reason::Misconfigured, "the token could not be signed with BEHEST_KEY"))
    }

    async fn encode(&self, claims: &GatewayClaims<'_>) -> Option<String> {
        let header = serde_json::to_vec(&Header { alg: "RS256", typ: "JWT", kid: &self.kid }).ok()?;
        let claims = serde_json::to_vec(claims).ok()?;
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign_rs256(token.as_bytes()).await?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Some(token)
    }
}

/// Padding is optional: dashboards and shells lose it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads an RSA private key in any of the forms in which it is handed around. The error says what is wrong with it and never
/// quotes it.
pub(super) fn private_key(text: &str) -> Result<SigningKey, &'static str> {
    const UNKNOWN: &str =
        "is neither behest_sk_… nor an RSA private key (PEM, or PEM in base64, with or without behest_pk_)";
    if text.contains("-----BEGIN") {
        return from_pem(text);
    }
    let packed: String = text.split_whitespace().collect();
    let bytes = BASE64.decode(packed).map_err(|_| UNKNOWN)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => from_pem(text),
        _ => SigningKey::from_der(&bytes).ok_or(UNKNOWN),
    }
}

/// Reads one PEM block. Line breaks may be real, written out as `\n`, or turned into spaces: all three are what
/// environment variables make of them.
fn from_pem(text: &str) -> Result<SigningKey, &'static str> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let (label, rest) = text
        .split_once("-----BEGIN ")
        .and_then(|(_, rest)| rest.split_once("-----"))
        .ok_or("is a PEM text with a damaged first line")?;
    match label {
        "PRIVATE KEY" | "RSA PRIVATE KEY" => {}
        "ENCRYPTED PRIVATE KEY" => return Err("is a private key with a passphrase: store it without one"),
        "EC PRIVATE KEY" => return Err("is an elliptic-curve key: Behest tokens are signed with RSA"),
        _ => return Err("is a PEM text, but not of a private key"),
    }
    let (body, _) = rest.split_once("-----END ").ok_or("is a PEM text without its last line: it was cut off")?;
    if body.contains(':') {
        return Err("is a private key with a passphrase: store it without one");
    }
    let packed: String = body.split_whitespace().collect();
    let der = BASE64.decode(packed).map_err(|_| "is a PEM text whose body is not base64: it was damaged")?;
    SigningKey::from_der(&der).ok_or("is not an RSA private key of 2048 to 8192 bits")
}
