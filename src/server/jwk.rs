//! JSON Web Keys: which are usable, for which algorithm, and which one a token names.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::curve;
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
    /// The key with that `kid` was left out, for this reason.
    LeftOut(&'static str),
    /// The token names no key and not exactly one would fit.
    NoKid,
}

#[derive(Clone, Debug)]
struct Entry {
    kid: Option<String>,
    key: Arc<VerifyingKey>,
}

/// A set of verification keys. Public keys and shared secrets may stand in one, as in that of the Supabase CLI: each key is
/// for algorithms of its own kind alone, so that no public key is ever taken for a secret.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<Entry>,
    /// The `kid`s of those that were left out, and why.
    left_out: Vec<(String, &'static str)>,
}

impl KeySet {
    /// Reads `{"keys": […]}` or a bare array. `None` if it is neither.
    ///
    /// Entries that are of no use here (another curve, an encryption key, a weak or private key) are left out.
    pub(super) fn parse(json: &[u8], source: Source) -> Option<Self> {
        let json = Json::of_bytes(json)?;
        let list = if json.is_object() { json.field("keys")? } else { json };
        let mut set = Self::default();
        for jwk in items(list.raw())?.into_iter().filter_map(Jwk::read) {
            set.add(jwk, source);
        }
        Some(set)
    }

    fn add(&mut self, jwk: Jwk, source: Source) {
        match material(&jwk, source) {
            Ok(key) => self.keys.push(Entry { key: Arc::new(key), kid: jwk.kid.filter(|kid| !kid.is_empty()) }),
            Err(why) => {
                log!(warn, "a key of the key set is left out", kid = jwk.kid.as_deref(), why = why);
                self.left_out.extend(jwk.kid.map(|kid| (kid, why)));
            }
        }
    }

    /// Adds a shared secret for HS256 tokens that name no other key.
    pub(super) fn add_secret(&mut self, secret: &[u8]) {
        self.keys.push(Entry { kid: None, key: Arc::new(VerifyingKey::hs256(secret)) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed a token with this algorithm and `kid`: exactly one, except that an HS256 token
    /// whose `kid` is unknown may have been signed with any secret that has no `kid` of its own.
    pub(super) fn pick(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<Arc<VerifyingKey>>, Miss> {
        let fits = |entry: &&Entry| entry.key.is_for(algorithm);
        let keys = |entries: Vec<&Entry>| entries.into_iter().map(|entry| Arc::clone(&entry.key)).collect();
        if let Some(kid) = kid {
            let named: Vec<_> = self.keys.iter().filter(|entry| entry.kid.as_deref() == Some(kid)).collect();
            match named[..] {
                [] => {}
                [only] if fits(&only) => return Ok(keys(named)),
                [_] => return Err(Miss::WrongAlgorithm),
                _ => return Err(Miss::Ambiguous),
            }
        }
        if algorithm == Algorithm::Hs256 {
            let nameless: Vec<_> = self.keys.iter().filter(fits).filter(|entry| entry.kid.is_none()).collect();
            if !nameless.is_empty() {
                return Ok(keys(nameless));
            }
        }
        if let Some(kid) = kid {
            let left_out = self.left_out.iter().find(|(own, _)| own == kid);
            return Err(left_out.map_or(Miss::UnknownKid, |(_, why)| Miss::LeftOut(why)));
        }
        match self.keys.iter().filter(fits).collect::<Vec<_>>() {
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

/// The key of an entry, or why it is of no use here.
fn material(jwk: &Jwk, source: Source) -> Result<VerifyingKey, &'static str> {
    const ENCODING: &str = "its numbers are missing, or not in base64url of the right length";
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig")
        || jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
    {
        return Err("it is not for verifying signatures");
    }
    if jwk.is_private {
        return Err("it is a private key, which belongs nowhere but with the issuer");
    }
    let stated = match &jwk.alg {
        Some(name) => Some(Algorithm::from_name(name).ok_or("its algorithm is not accepted")?),
        None => None,
    };
    let may_be = |algorithm| stated.is_none_or(|stated| stated == algorithm);
    let bytes = |field: &Option<String>| decode_url(field.as_ref()?);
    let fixed = |field: &Option<String>| <[u8; 32]>::try_from(bytes(field)?).ok();
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) if may_be(Algorithm::Es256) => {
            let (x, y) = fixed(&jwk.x).zip(fixed(&jwk.y)).ok_or(ENCODING)?;
            let on_curve = curve::has(&x, &y).then(|| VerifyingKey::p256(&x, &y)).flatten();
            on_curve.ok_or("it is no point of its curve")
        }
        ("OKP", Some("Ed25519")) if may_be(Algorithm::EdDsa) => {
            VerifyingKey::ed25519(&fixed(&jwk.x).ok_or(ENCODING)?).ok_or("it is no point of its curve")
        }
        ("RSA", _) => {
            let (n, e) = bytes(&jwk.n).zip(bytes(&jwk.e)).ok_or(ENCODING)?;
            if let Some(flaw) = rsa::flaw(&n, &e) {
                return Err(flaw);
            }
            let family = [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256];
            let algorithms: Vec<_> = family.into_iter().filter(|algorithm| may_be(*algorithm)).collect();
            if algorithms.is_empty() {
                return Err("its algorithm is not for keys of its type");
            }
            VerifyingKey::rsa(rsa::significant(&n), rsa::significant(&e), &algorithms)
                .ok_or("the crypto library here takes RSA keys of up to 8,192 bits")
        }
        ("oct", _) if source == Source::Published => Err("it is a shared secret at a public address"),
        ("oct", _) if may_be(Algorithm::Hs256) => {
            let secret = bytes(&jwk.k).ok_or(ENCODING)?;
            match secret.len() {
                SHORTEST_SECRET.. => Ok(VerifyingKey::hs256(&secret)),
                _ => Err("it is a shared secret of less than 32 bytes"),
            }
        }
        _ => Err("its type, curve or algorithm is not accepted"),
    }
}
