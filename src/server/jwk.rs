//! JSON Web Keys: which are usable, for which algorithm, and which one a token names.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::fields::{fields, items, optional_text, texts};
use super::platform::crypto::VerifyingKey;
use super::platform::log::log;
use super::rsa;
use crate::base64::decode_url;
use crate::json::Json;

/// Where a key set comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The server's own settings.
    Settings,
    /// An address that anybody can read. A shared secret found there is no secret.
    Published,
}

/// Why no key of a set fits a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// No key has the token's `kid`: worth asking for a newer set.
    UnknownKid,
    /// The key with that `kid` is for another algorithm.
    WrongAlgorithm,
    /// Several keys share that `kid`.
    Ambiguous,
    /// The token names no key and not exactly one would fit.
    NoKid,
}

#[derive(Clone, Debug)]
struct Entry {
    kid: Option<String>,
    key: Arc<VerifyingKey>,
}

/// A set of verification keys. Public keys and shared secrets may stand in one, as in that of the Supabase CLI: each key is
/// for algorithms of its own kind alone.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<Entry>);

impl KeySet {
    /// Reads `{"keys": […]}` or a bare array. `None` if it is neither.
    ///
    /// Entries that are of no use here (another curve, an encryption key, a weak or private key) are left out.
    pub(super) fn parse(json: &[u8], source: Source) -> Option<Self> {
        let json = Json::of_bytes(json)?;
        let list = if json.is_object() { json.field("keys")? } else { json };
        Some(Self(items(list.raw())?.into_iter().filter_map(|entry| read(entry, source)).collect()))
    }

    /// Adds a shared secret for HS256 tokens that name no other key.
    pub(super) fn add_secret(&mut self, secret: &[u8]) {
        self.0.push(Entry { kid: None, key: Arc::new(VerifyingKey::hs256(secret)) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that may have signed a token with this algorithm and `kid`: exactly one, except that an HS256 token
    /// whose `kid` is unknown may have been signed with any secret that has no `kid` of its own.
    pub(super) fn pick(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<Arc<VerifyingKey>>, Miss> {
        let fits = |entry: &&Entry| entry.key.is_for(algorithm);
        let keys = |entries: Vec<&Entry>| entries.into_iter().map(|entry| Arc::clone(&entry.key)).collect();
        if let Some(kid) = kid {
            let named: Vec<_> = self.0.iter().filter(|entry| entry.kid.as_deref() == Some(kid)).collect();
            match named[..] {
                [] => {}
                [only] if fits(&only) => return Ok(keys(named)),
                [_] => return Err(Miss::WrongAlgorithm),
                _ => return Err(Miss::Ambiguous),
            }
        }
        if algorithm == Algorithm::Hs256 {
            let nameless: Vec<_> = self.0.iter().filter(fits).filter(|entry| entry.kid.is_none()).collect();
            if !nameless.is_empty() {
                return Ok(keys(nameless));
            }
        }
        if kid.is_some() {
            return Err(Miss::UnknownKid);
        }
        match self.0.iter().filter(fits).collect::<Vec<_>>() {
            only if only.len() == 1 => Ok(keys(only)),
            _ => Err(Miss::NoKid),
        }
    }
}

/// Fields that are absent or null are `None`.
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
    is_private: bool,
}

impl Jwk {
    /// `None` if a field has a wrong type, or is there twice.
    fn read(json: Json<'_>) -> Option<Self> {
        let names = ["kty", "kid", "alg", "use", "key_ops", "crv", "x", "y", "n", "e", "k", "d"];
        let [kty, kid, alg, usage, key_ops, crv, x, y, n, e, k, d] = fields(json.raw().as_bytes(), names)?;
        Some(Self {
            kty: kty?.text()?,
            kid: optional_text(kid)?,
            alg: optional_text(alg)?,
            usage: optional_text(usage)?,
            key_ops: match key_ops.and_then(Json::present) {
                None => None,
                Some(ops) => Some(texts(ops.raw())?),
            },
            crv: optional_text(crv)?,
            x: optional_text(x)?,
            y: optional_text(y)?,
            n: optional_text(n)?,
            e: optional_text(e)?,
            k: optional_text(k)?,
            is_private: d.and_then(Json::present).is_some(),
        })
    }
}

/// RFC 7518 section 3.2: a key of at least the size of the hash.
pub(super) const SHORTEST_SECRET: usize = 32;

fn read(entry: Json<'_>, source: Source) -> Option<Entry> {
    let jwk = Jwk::read(entry)?;
    let skip = |why: &str| log!(warn, "a key of the key set is left out", kid = jwk.kid.as_deref(), why = why);
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig")
        || jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
    {
        skip("it is not for verifying signatures");
        return None;
    }
    if jwk.is_private {
        skip("it is a private key, which belongs nowhere but with the issuer");
        return None;
    }
    if jwk.kty == "oct" && source == Source::Published {
        skip("it is a shared secret at a public address");
        return None;
    }
    let key = material(&jwk);
    if key.is_none() {
        skip("its type, algorithm, size or encoding is not accepted");
    }
    Some(Entry { key: Arc::new(key?), kid: jwk.kid.filter(|kid| !kid.is_empty()) })
}

fn material(jwk: &Jwk) -> Option<VerifyingKey> {
    let stated = match &jwk.alg {
        Some(name) => Some(Algorithm::from_name(name)?),
        None => None,
    };
    let may_be = |algorithm| stated.is_none_or(|stated| stated == algorithm);
    let bytes = |field: &Option<String>| decode_url(field.as_ref()?);
    let fixed = |field: &Option<String>| <[u8; 32]>::try_from(bytes(field)?).ok();
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) if may_be(Algorithm::Es256) => VerifyingKey::p256(&fixed(&jwk.x)?, &fixed(&jwk.y)?),
        ("OKP", Some("Ed25519")) if may_be(Algorithm::EdDsa) => VerifyingKey::ed25519(&fixed(&jwk.x)?),
        ("RSA", _) => {
            let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
            if !rsa::is_sound(&n, &e) {
                return None;
            }
            let family = [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256];
            let algorithms: Vec<_> = family.into_iter().filter(|algorithm| may_be(*algorithm)).collect();
            (!algorithms.is_empty())
                .then(|| VerifyingKey::rsa(rsa::significant(&n), rsa::significant(&e), &algorithms))
                .flatten()
        }
        ("oct", _) if may_be(Algorithm::Hs256) => {
            bytes(&jwk.k).filter(|secret| secret.len() >= SHORTEST_SECRET).map(|secret| VerifyingKey::hs256(&secret))
        }
        _ => None,
    }
}
