//! Webhooks: did this delivery come from whom it says, and just now?
//!
//! The body must be the bytes as they arrived: parse it after this check, not before.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::algorithm::Algorithm;
use super::clock::Clock;
use super::header;
use super::platform::crypto::VerifyingKey;
use crate::base64::decode_standard;
use crate::{Error, Reason};

/// More than any sender of today delivers. Read no further before the signature is checked.
pub const MAX_BODY: usize = 1024 * 1024;
/// How old a delivery may be, and how far ahead of this server's clock its sender's may run.
const TOLERANCE: Duration = Duration::from_secs(300);
/// Senders that change their secret send two signatures; more than this many is somebody trying.
const MOST_SIGNATURES: usize = 8;

const STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
const HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
const GITHUB_DELIVERY: HeaderName = HeaderName::from_static("x-github-delivery");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The headers that are looked at.
#[allow(dead_code, reason = "what JavaScript hosts are asked for")]
pub(super) const HEADERS: [HeaderName; 6] =
    [STRIPE_SIGNATURE, HUB_SIGNATURE, GITHUB_DELIVERY, WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE];

/// Checks the deliveries of one sender.
pub struct Webhook {
    scheme: Scheme,
    keys: Vec<VerifyingKey>,
    tolerance: Duration,
    clock: Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Stripe,
    GitHub,
    Standard,
}

/// A delivery whose signature is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// `webhook-id` or `X-GitHub-Delivery`, to recognise one that comes twice. Stripe's is in the body. Supabase Auth
    /// sends a new one with each attempt.
    pub id: Option<String>,
    /// When it was signed, since the Unix epoch. GitHub does not say.
    pub signed_at: Option<Duration>,
}

impl Webhook {
    /// Stripe: `Stripe-Signature`. The secret is used as it is, `whsec_` included.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] for a blank secret.
    pub fn stripe(secret: &str) -> Result<Self, Error> {
        Self::with_text(Scheme::Stripe, secret)
    }

    /// GitHub: `X-Hub-Signature-256`. It signs no time, so that an old delivery can be sent again: remember the ids.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] for a blank secret.
    pub fn github(secret: &str) -> Result<Self, Error> {
        Self::with_text(Scheme::GitHub, secret)
    }

    /// [Standard Webhooks](https://www.standardwebhooks.com), which Supabase Auth hooks use too: `webhook-id`,
    /// `webhook-timestamp`, `webhook-signature`. Takes `whsec_…`, `v1,whsec_…`, and several joined by `|`.
    ///
    /// # Errors
    /// [`Reason::Misconfigured`] if a secret is not base64 or shorter than 16 bytes.
    pub fn standard(secrets: &str) -> Result<Self, Error> {
        let key = |secret: &str| {
            let secret = secret.trim();
            let secret = secret.strip_prefix("v1,").unwrap_or(secret);
            let bytes = decode_standard(secret.strip_prefix("whsec_").unwrap_or(secret))?;
            (bytes.len() >= 16).then(|| VerifyingKey::hs256(&bytes))
        };
        let keys: Option<Vec<_>> = secrets.split('|').map(key).collect();
        let wrong =
            || Error::new(Reason::Misconfigured, "the webhook's secret is not whsec_ and base64 of 16 bytes or more");
        Ok(Self::new(Scheme::Standard, keys.ok_or_else(wrong)?))
    }

    fn with_text(scheme: Scheme, secret: &str) -> Result<Self, Error> {
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(Error::new(Reason::Misconfigured, "the webhook's secret is empty"));
        }
        Ok(Self::new(scheme, vec![VerifyingKey::hs256(secret.as_bytes())]))
    }

    fn new(scheme: Scheme, keys: Vec<VerifyingKey>) -> Self {
        Self { scheme, keys, tolerance: TOLERANCE, clock: Clock::system() }
    }

    /// How far the time of signing may lie from now, in both directions. Default 5 minutes.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// What time it is. Default: the machine's clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks that the headers of a delivery can be right, before its body is read.
    ///
    /// # Errors
    /// [`Reason::InvalidWebhook`]; the message says what is missing.
    pub fn check_headers(&self, headers: &HeaderMap) -> Result<(), Error> {
        self.signed_parts(headers).map(drop)
    }

    /// Checks one delivery: the signature first, then its age.
    ///
    /// # Errors
    /// [`Reason::InvalidWebhook`]; the message says which of the two it is, or what is missing.
    pub async fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, Error> {
        let parts = self.signed_parts(headers)?;
        let signed = [&parts.before_body, body].concat();
        let mut right = false;
        for key in &self.keys {
            for signature in &parts.signatures {
                right |= key.verifies(Algorithm::Hs256, &signed, signature).await;
            }
        }
        if !right {
            return Err(refused("no signature of the delivery is right"));
        }
        let now = self.clock.now();
        match parts.delivery.signed_at {
            Some(at) if now.saturating_sub(at) > self.tolerance => Err(refused("the delivery is too old")),
            Some(at) if at.saturating_sub(now) > self.tolerance => {
                Err(refused("the delivery was signed in the future"))
            }
            _ => Ok(parts.delivery),
        }
    }

    fn signed_parts(&self, headers: &HeaderMap) -> Result<SignedParts, Error> {
        let parts = match self.scheme {
            Scheme::Stripe => stripe(headers),
            Scheme::GitHub => github(headers),
            Scheme::Standard => standard(headers),
        }?;
        match parts.signatures.len() {
            0 => Err(refused("the delivery has no signature of a known scheme")),
            1..=MOST_SIGNATURES => Ok(parts),
            _ => Err(refused("the delivery has too many signatures")),
        }
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("scheme", &self.scheme)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// What a delivery says about itself.
struct SignedParts {
    signatures: Vec<Vec<u8>>,
    /// What is signed before the body.
    before_body: Vec<u8>,
    delivery: Delivery,
}

fn refused(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Reason::InvalidWebhook, message)
}

/// The header of this name.
fn told<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Cow<'a, str>, Error> {
    let absent = || refused(["the delivery has no header ", name.as_str()].concat());
    header::text(headers, name)
        .ok_or_else(absent)?
        .map_err(|()| refused(["the header ", name.as_str(), " is not readable"].concat()))
}

fn seconds(text: &str) -> Result<Duration, Error> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if plain { text.parse().ok() } else { None };
    seconds.map(Duration::from_secs).ok_or_else(|| refused("the time of signing is not a number of seconds"))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// `t=<seconds>,v1=<hex>[,v1=<hex>]`; other schemes are passed over.
fn stripe(headers: &HeaderMap) -> Result<SignedParts, Error> {
    let header = told(headers, &STRIPE_SIGNATURE)?;
    let (mut time, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", _)) if time.is_some() => return Err(refused("the delivery was signed at two times")),
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) => signatures.extend(hex(value)),
            _ => {}
        }
    }
    let time = time.ok_or_else(|| refused("the header stripe-signature has no time"))?;
    let delivery = Delivery { id: None, signed_at: Some(seconds(time)?) };
    Ok(SignedParts { signatures, before_body: [time.as_bytes(), b"."].concat(), delivery })
}

fn github(headers: &HeaderMap) -> Result<SignedParts, Error> {
    let header = told(headers, &HUB_SIGNATURE)?;
    let signature = header.strip_prefix("sha256=").and_then(hex);
    let id = header::text(headers, &GITHUB_DELIVERY).and_then(Result::ok).map(Cow::into_owned);
    Ok(SignedParts {
        signatures: signature.into_iter().collect(),
        before_body: Vec::new(),
        delivery: Delivery { id, signed_at: None },
    })
}

/// Signatures are separated by spaces; Supabase Auth puts a comma before each space.
fn standard(headers: &HeaderMap) -> Result<SignedParts, Error> {
    let id = told(headers, &WEBHOOK_ID)?;
    let time = told(headers, &WEBHOOK_TIMESTAMP)?;
    let signature = |one: &str| decode_standard(one.trim_end_matches(',').strip_prefix("v1,")?);
    let signatures = told(headers, &WEBHOOK_SIGNATURE)?.split_whitespace().filter_map(signature).collect();
    let delivery = Delivery { id: Some(id.to_string()), signed_at: Some(seconds(&time)?) };
    Ok(SignedParts { signatures, before_body: [id.as_bytes(), b".", time.as_bytes(), b"."].concat(), delivery })
}
