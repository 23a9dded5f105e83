//! Which RSA keys are sound. Not every host looks.

use std::ops::RangeInclusive;

/// The sizes that are accepted, in bits. Above 8,192 some crypto libraries give up: aws-lc-rs natively, BoringSSL in workerd.
const BITS: RangeInclusive<usize> = 2048..=16_384;

/// The primes by which keys of a broken generator (CVE-2017-15361, "ROCA") are known.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// What is wrong with the key of this modulus and exponent, both big-endian: somebody could forge signatures of it at once.
pub(super) fn flaw(n: &[u8], e: &[u8]) -> Option<&'static str> {
    let (n, e) = (significant(n), significant(e));
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !BITS.contains(&bits(n)) {
        return Some("its modulus has not 2,048 to 16,384 bits");
    }
    // With an exponent of 1, a message is its own signature. Larger ones than 64 bits are nobody's.
    if !is_odd(e) || e == [1] || e.len() > 8 {
        return Some("its exponent is not an odd number of at least 3");
    }
    if !is_odd(n) {
        return Some("its modulus is even");
    }
    is_roca(n).then_some("it comes from a broken generator (CVE-2017-15361)")
}

/// Without leading zeros.
pub(super) fn significant(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Such a modulus is a power of 65537 modulo each of the primes.
fn is_roca(n: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let rest = n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * (65537 % prime) % prime;
            power == rest
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2048 bits that are 1 modulo every prime of the fingerprint.
    fn roca() -> Vec<u8> {
        let mut product = vec![1u8];
        for prime in ROCA_PRIMES {
            let mut carry = 0;
            for byte in product.iter_mut().rev() {
                carry += u32::from(*byte) * prime;
                *byte = carry as u8;
                carry >>= 8;
            }
            if carry > 0 {
                product.insert(0, carry as u8);
            }
        }
        product.resize(256, 0);
        let shift = product[0].leading_zeros();
        let mut carry = 0;
        for byte in product.iter_mut().rev() {
            carry |= u32::from(*byte) << shift;
            *byte = carry as u8;
            carry >>= 8;
        }
        product[255] |= 1;
        product
    }

    #[test]
    fn only_keys_that_nobody_can_forge_are_sound() {
        let mut good = vec![0xC5; 256];
        good[200] = 0x11;
        let largest = [&[0x80], &[0x11; 2046][..], &[0xC5]].concat();
        assert_eq!(
            flaw(&good, &[1, 0, 1]).or(flaw(&[&[0], &good[..]].concat(), &[0, 3])).or(flaw(&largest, &[3])),
            None
        );
        for e in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0], &[1; 9]] {
            assert!(flaw(&good, e).is_some_and(|flaw| flaw.contains("exponent")), "{e:?}");
        }
        let even = [&good[..255], &[0xC4]].concat();
        let (short, long) = (&good[1..], [1; 2049]);
        let half = [&[0x7F], &good[1..]].concat();
        for n in [&[][..], &even, short, &long, &half, &roca()] {
            assert!(flaw(n, &[1, 0, 1]).is_some(), "{} bytes", n.len());
        }
    }
}
