//! Which points lie on the curve P-256. Natively the crypto library looks when a key is read; WebCrypto looks when one is first used,
//! and a key set is judged before.

/// Big-endian words, the most significant one first.
type Number = [u64; 4];

/// The field's prime (FIPS 186-5, SP 800-186 section 3.2.1.3).
const P: Number = [0xffff_ffff_0000_0001, 0, 0x0000_0000_ffff_ffff, 0xffff_ffff_ffff_ffff];
const B: Number = [0x5ac6_35d8_aa3a_93e7, 0xb3eb_bd55_7698_86bc, 0x651d_06b0_cc53_b0f6, 0x3bce_3c3e_27d2_604b];

/// Is y² = x³ - 3x + b, with coordinates below the prime? Keys are public: the time taken may tell them.
pub(super) fn has(x: &[u8; 32], y: &[u8; 32]) -> bool {
    let (x, y) = (number(x), number(y));
    // 3x is taken to the other side, so that nothing is subtracted.
    let left = add(times(y, y), add(x, add(x, x)));
    x < P && y < P && left == add(times(times(x, x), x), B)
}

fn number(bytes: &[u8; 32]) -> Number {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|index| words.get(index).map_or(0, |word| u64::from_be_bytes(*word)))
}

/// The sum of two numbers below the prime.
fn add(a: Number, b: Number) -> Number {
    let (sum, over) = sum(a, b);
    // Less the prime is more the difference to 2^256.
    let (reduced, _) = difference(sum, P);
    if over || sum >= P { reduced } else { sum }
}

/// Their product, bit by bit.
fn times(a: Number, b: Number) -> Number {
    let bits = a.iter().flat_map(|word| (0..64).rev().map(move |bit| word >> bit & 1 == 1));
    bits.fold([0; 4], |product, bit| {
        let double = add(product, product);
        if bit { add(double, b) } else { double }
    })
}

fn sum(a: Number, b: Number) -> (Number, bool) {
    by_words(a, b, |a, b, carry| {
        let (sum, first) = a.overflowing_add(b);
        let (sum, second) = sum.overflowing_add(carry);
        (sum, first || second)
    })
}

fn difference(a: Number, b: Number) -> (Number, bool) {
    by_words(a, b, |a, b, borrow| {
        let (rest, first) = a.overflowing_sub(b);
        let (rest, second) = rest.overflowing_sub(borrow);
        (rest, first || second)
    })
}

fn by_words(mut a: Number, b: Number, step: impl Fn(u64, u64, u64) -> (u64, bool)) -> (Number, bool) {
    let mut over = false;
    for (a, b) in a.iter_mut().zip(b).rev() {
        (*a, over) = step(*a, b, over.into());
    }
    (a, over)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;
    use crate::server::platform::crypto::VerifyingKey;

    fn point() -> ([u8; 32], [u8; 32]) {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        (x.try_into().unwrap(), y.try_into().unwrap())
    }

    fn bytes(number: Number) -> [u8; 32] {
        number.map(u64::to_be_bytes).concat().try_into().unwrap()
    }

    #[test]
    fn it_is_the_librarys_judgement() {
        for _ in 0..50 {
            let (x, y) = point();
            assert!(has(&x, &y));
            for place in [0, 9, 31] {
                let (mut other_x, mut other_y) = (x, y);
                other_x[place] ^= 1;
                other_y[place] ^= 1;
                for (x, y) in [(&other_x, &y), (&x, &other_y), (&other_y, &other_x)] {
                    assert_eq!(has(x, y), VerifyingKey::p256(x, y).is_some(), "{x:02x?} {y:02x?}");
                }
            }
        }
    }

    #[test]
    fn coordinates_are_below_the_prime_and_nothing_is_lost_at_its_edge() {
        let (zero, one) = ([0; 32], bytes([0, 0, 0, 1]));
        let last = bytes(difference(P, [0, 0, 0, 1]).0);
        let all = [0xff; 32];
        for (x, y) in [(zero, zero), (one, one), (last, last), (bytes(P), one), (all, all), (one, bytes(P))] {
            assert!(!has(&x, &y) && VerifyingKey::p256(&x, &y).is_none());
        }
        // (p-1)² is 1, and p-1 more 1 nothing.
        let last = number(&last);
        assert_eq!((times(last, last), add(last, [0, 0, 0, 1])), ([0, 0, 0, 1], [0; 4]));
        assert_eq!(times(last, [0, 0, 0, 2]), difference(P, [0, 0, 0, 2]).0);
    }
}
