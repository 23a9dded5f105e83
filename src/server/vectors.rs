//! Signature verification under test vectors that nobody here wrote: those of the Wycheproof project, each key as a JWK.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{HashFunction, Mgf, TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::algorithm::Algorithm;
use super::jwk::{KeySet, Source};

/// How often each outcome was seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: usize,
    refused: usize,
}

/// Natively nothing is waited for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a verification waits"),
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Tally {
    fn check(&mut self, name: &str, jwk: &Value, case: (usize, &[u8], &[u8], TestResult)) {
        let (id, message, signature, expected) = case;
        let algorithm = Algorithm::from_name(name).unwrap();
        let set = KeySet::parse(json!([jwk]).to_string().as_bytes(), Source::Published).unwrap();
        let keys = set.pick(algorithm, None).unwrap_or_default();
        let verified = keys.iter().any(|key| now(key.verifies(algorithm, message, signature)));
        match expected {
            TestResult::Valid => assert!(verified, "{name} {id} is valid"),
            TestResult::Invalid => assert!(!verified, "{name} {id} is invalid"),
            TestResult::Acceptable => {}
        }
        if verified {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
    }
}

#[test]
fn rsa_pkcs1() {
    use rsa_pkcs1_verify::{TestName, TestSet};
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let algorithm = match group.hash {
                HashFunction::Sha2_256 => "RS256",
                HashFunction::Sha2_384 => "RS384",
                HashFunction::Sha2_512 => "RS512",
                _ => continue,
            };
            let jwk = json!({"kty": "RSA", "n": encode(&group.key.n), "e": encode(&group.key.e)});
            for test in &group.tests {
                tally.check(algorithm, &jwk, (test.tc_id, &test.msg, &test.sig, test.result));
            }
        }
    }
    assert!(tally.accepted > 80 && tally.refused > 2000, "{tally:?}");
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::{TestName, TestSet};
    let mut tally = Tally::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let sha256 = HashFunction::Sha2_256;
            let fits = group.hash == sha256 && group.mgf == Mgf::Mgf1 && group.mgf_hash == Some(sha256);
            if !fits || group.salt_size != 32 {
                continue;
            }
            let jwk = json!({"kty": "RSA", "alg": "PS256", "n": encode(&group.key.n), "e": encode(&group.key.e)});
            for test in &group.tests {
                tally.check("PS256", &jwk, (test.tc_id, &test.msg, &test.sig, test.result));
            }
        }
    }
    assert!(tally.accepted > 100 && tally.refused > 100, "{tally:?}");
}

#[test]
fn ecdsa_p256() {
    use ecdsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
        let point = &group.key.key[..];
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        for test in &group.tests {
            tally.check("ES256", &jwk, (test.tc_id, &test.msg, &test.sig, test.result));
        }
    }
    assert!(tally.accepted > 100 && tally.refused > 80, "{tally:?}");
}

#[test]
fn ed25519() {
    use eddsa::{TestName, TestSet};
    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&group.key.pk)});
        for test in &group.tests {
            tally.check("EdDSA", &jwk, (test.tc_id, &test.msg, &test.sig, test.result));
        }
    }
    assert!(tally.accepted > 50 && tally.refused > 50, "{tally:?}");
}
