//! Signs gateway tokens with the tenant's own key.

use super::platform::crypto::{SigningKey, random_uuid};
use super::settings::Reader;
use crate::base64::{decode_standard, encode_url, push_url};
use crate::object::Object;
use crate::{Error, Reason, Secret};

const DEFAULT_ISSUER: &str = "https://api.behest.ai";
const DEFAULT_AUDIENCE: &str = "behest";

/// A private key and what else its tokens need.
#[derive(Debug)]
pub(super) struct Signer {
    key: SigningKey,
    /// In base64url.
    header: String,
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

impl Signer {
    pub(super) fn read(reader: &mut Reader<'_>, key: SigningKey) -> Option<Self> {
        let kid = reader.required("BEHEST_KID");
        let tenant = reader.required("BEHEST_TENANT_ID");
        let project = reader.required("BEHEST_PROJECT_ID");
        Some(Self {
            key,
            header: encode_url(header(kid?).as_bytes()),
            tenant: tenant?.to_owned(),
            project: project?.to_owned(),
            issuer: reader.text("BEHEST_ISSUER").unwrap_or(DEFAULT_ISSUER).to_owned(),
            audience: reader.text("BEHEST_AUDIENCE").unwrap_or(DEFAULT_AUDIENCE).to_owned(),
        })
    }

    /// A token for `subject`.
    pub(super) async fn sign(&self, subject: &Subject<'_>) -> Result<Secret, Error> {
        let claims = self.claims(subject, &random_uuid()?);
        let mut token = [self.header.as_str(), "."].concat();
        push_url(claims.as_bytes(), &mut token);
        let signature = self.key.sign_rs256(token.as_bytes()).await;
        let unsigned = || Error::new(Reason::Misconfigured, "the token could not be signed with BEHEST_KEY");
        token.push('.');
        push_url(&signature.ok_or_else(unsigned)?, &mut token);
        Ok(Secret::new(token))
    }

    /// In the order in which Behest's own SDKs write them.
    fn claims(&self, subject: &Subject<'_>, id: &str) -> String {
        let claims = Object::new()
            .text("tid", &self.tenant)
            .text("pid", &self.project)
            .text("uid", subject.user)
            .text("role", "user")
            .raw("scp", "[]")
            .text("iss", &self.issuer)
            .text("aud", &self.audience)
            .number("iat", subject.from)
            .number("nbf", subject.from)
            .number("exp", subject.until)
            .text("jti", id)
            .text("sid", subject.session);
        match subject.tier {
            Some(tier) => claims.number("tier", tier.into()),
            None => claims,
        }
        .finish()
    }
}

fn header(kid: &str) -> String {
    Object::new().text("alg", "RS256").text("typ", "JWT").text("kid", kid).finish()
}

/// Reads an RSA private key in any of the forms in which it is handed around. The error says what is wrong with it and never
/// quotes it.
pub(super) fn private_key(text: &str) -> Result<SigningKey, &'static str> {
    const UNKNOWN: &str =
        "is neither behest_sk_… nor an RSA private key (PEM, or PEM in base64, with or without behest_pk_)";
    if text.contains("-----BEGIN") {
        return from_pem(text);
    }
    let packed: String = text.split_whitespace().collect();
    let bytes = decode_standard(&packed).ok_or(UNKNOWN)?;
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
    let der = decode_standard(&packed).ok_or("is a PEM text whose body is not base64: it was damaged")?;
    SigningKey::from_der(&der)
        .ok_or("is not an RSA private key of 2,048 to 8,192 bits (16,384 where the host's WebCrypto takes them)")
}
