//! Test vectors that nobody here wrote: the signatures of the Wycheproof project that a JWS can have, each key as a JWK.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{HashFunction, Mgf, TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

/// One of them.
pub(crate) struct Vector<'a> {
    pub(crate) algorithm: &'static str,
    pub(crate) id: usize,
    pub(crate) jwk: &'a Value,
    pub(crate) message: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// Nothing where Wycheproof accepts both answers.
    pub(crate) valid: Option<bool>,
}

/// Calls `each` with every vector.
pub(crate) fn every(mut each: impl FnMut(Vector<'_>)) {
    let mut tell = |algorithm, jwk: &Value, (id, message, signature, result): (usize, &[u8], &[u8], TestResult)| {
        let valid = match result {
            TestResult::Valid => Some(true),
            TestResult::Invalid => Some(false),
            TestResult::Acceptable => None,
        };
        each(Vector { algorithm, id, jwk, message, signature, valid });
    };
    for group in
        sets(rsa_pkcs1_verify::TestName::all(), rsa_pkcs1_verify::TestSet::load).flat_map(|set| set.test_groups)
    {
        let algorithm = match group.hash {
            HashFunction::Sha2_256 => "RS256",
            HashFunction::Sha2_384 => "RS384",
            HashFunction::Sha2_512 => "RS512",
            _ => continue,
        };
        let jwk = json!({"kty": "RSA", "n": encode(&group.key.n), "e": encode(&group.key.e)});
        group.tests.iter().for_each(|test| tell(algorithm, &jwk, (test.tc_id, &test.msg, &test.sig, test.result)));
    }
    for group in sets(rsa_pss_verify::TestName::all(), rsa_pss_verify::TestSet::load).flat_map(|set| set.test_groups) {
        let sha256 = HashFunction::Sha2_256;
        let fits = group.hash == sha256 && group.mgf == Mgf::Mgf1 && group.mgf_hash == Some(sha256);
        if !fits || group.salt_size != 32 {
            continue;
        }
        let jwk = json!({"kty": "RSA", "alg": "PS256", "n": encode(&group.key.n), "e": encode(&group.key.e)});
        group.tests.iter().for_each(|test| tell("PS256", &jwk, (test.tc_id, &test.msg, &test.sig, test.result)));
    }
    let p1363 = [ecdsa::TestName::EcdsaSecp256r1Sha256P1363];
    for group in sets(p1363, ecdsa::TestSet::load).flat_map(|set| set.test_groups) {
        let point = &group.key.key[..];
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        group.tests.iter().for_each(|test| tell("ES256", &jwk, (test.tc_id, &test.msg, &test.sig, test.result)));
    }
    for group in sets([eddsa::TestName::Ed25519], eddsa::TestSet::load).flat_map(|set| set.test_groups) {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&group.key.pk)});
        group.tests.iter().for_each(|test| tell("EdDSA", &jwk, (test.tc_id, &test.msg, &test.sig, test.result)));
    }
}

fn sets<Name, Set, Error: std::fmt::Debug>(
    names: impl IntoIterator<Item = Name>,
    load: impl Fn(Name) -> Result<Set, Error>,
) -> impl Iterator<Item = Set> {
    names.into_iter().map(move |name| load(name).unwrap())
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
