//! What kind of key `BEHEST_KEY` is, in any of the forms in which it is handed around.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::platform::crypto::SigningKey;
use crate::Secret;

/// Padding is optional: dashboards and shells lose it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A Behest key.
#[derive(Debug)]
pub(super) enum BehestKey {
    /// `behest_sk_…`: sent to Behest, which mints.
    Api(Secret),
    /// `behest_pk_…` or a bare private key: tokens are signed here.
    Signing(SigningKey),
}

impl BehestKey {
    /// Reads a key. The error says what is wrong with it and never quotes it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = unquoted(text.trim());
        if text.starts_with("behest_sk_") {
            let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
            return if plain { Ok(Self::Api(text.into())) } else { Err("holds a space or line break inside the key") };
        }
        if text.starts_with("bh_") {
            return Err("is a key of the former kind (bh_…): create a behest_sk_… key in the dashboard");
        }
        if ["sb_", "sk-"].iter().any(|prefix| text.starts_with(prefix)) {
            return Err("is a key of another service: a Behest key begins with behest_sk_ or behest_pk_");
        }
        signing_key(text.strip_prefix("behest_pk_").unwrap_or(text)).map(Self::Signing)
    }
}

/// Some dashboards keep the quotes of a value pasted from a .env file.
fn unquoted(text: &str) -> &str {
    let inside = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

fn signing_key(text: &str) -> Result<SigningKey, &'static str> {
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
