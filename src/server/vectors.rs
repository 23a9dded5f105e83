//! Signature verification under Wycheproof's vectors, natively; `tests/js/server-vectors.test.mjs` puts the WebAssembly module
//! through the same.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::json;

use super::algorithm::Algorithm;
use super::jwk::{KeySet, Source};

#[path = "../../tests/server/vectors.rs"]
mod wycheproof;

/// Natively nothing is waited for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a verification waits"),
    }
}

/// What they must come to, at least, for this algorithm: accepted and refused.
fn floors(algorithm: &str) -> (usize, usize) {
    match algorithm {
        "RS256" => (30, 700),
        "RS384" | "RS512" => (10, 300),
        "PS256" => (100, 100),
        "ES256" => (100, 80),
        _ => (50, 50),
    }
}

#[test]
fn signatures_are_judged_as_wycheproof_judges_them() {
    let mut tally = BTreeMap::<_, (usize, usize)>::new();
    wycheproof::every(|vector| {
        let algorithm = Algorithm::from_name(vector.algorithm).unwrap();
        let set = KeySet::parse(json!([vector.jwk]).to_string().as_bytes(), Source::Published).unwrap();
        let keys = set.pick(algorithm, None).unwrap_or_default();
        let verified = keys.iter().any(|key| now(key.verifies(algorithm, vector.message, vector.signature)));
        if let Some(valid) = vector.valid {
            assert_eq!(verified, valid, "{} {}", vector.algorithm, vector.id);
        }
        let (accepted, refused) = tally.entry(vector.algorithm).or_default();
        *(if verified { accepted } else { refused }) += 1;
    });
    assert_eq!(tally.len(), 6);
    for (algorithm, (accepted, refused)) in tally {
        let floors = floors(algorithm);
        assert!(accepted >= floors.0 && refused >= floors.1, "{algorithm}: {accepted} accepted, {refused} refused");
    }
}

#[test]
fn a_key_that_is_left_out_says_why() {
    use super::jwk::Miss;

    let number =
        |bits: usize| wycheproof::encode(&[&[1 << ((bits - 1) % 8)], &vec![0x35; bits.div_ceil(8) - 1][..]].concat());
    let miss = |bits: usize| {
        let set = json!([{"kty": "RSA", "kid": "k", "n": number(bits), "e": "AQAB"}]).to_string();
        let set = KeySet::parse(set.as_bytes(), Source::Published).unwrap();
        set.pick(Algorithm::Rs256, Some("k")).map(drop)
    };
    assert_eq!([miss(2048), miss(8192)], [Ok(()), Ok(())]);
    assert_eq!(miss(16_384), Err(Miss::LeftOut("the crypto library here takes RSA keys of up to 8,192 bits")));
    for bits in [2047, 16_385] {
        assert_eq!(miss(bits), Err(Miss::LeftOut("its modulus has not 2,048 to 16,384 bits")), "{bits}");
    }
}
