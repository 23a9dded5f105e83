//! Which RSA keys are sound. Not every host looks.

use std::ops::RangeInclusive;

/// The sizes that are accepted, in bits: what every host can verify.
const BITS: RangeInclusive<usize> = 2048..=8192;

/// The primes by which keys of a broken generator (CVE-2017-15361, "ROCA") are known.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Is the key with this modulus and exponent, both big-endian, one that nobody can forge signatures of at once?
pub(super) fn is_sound(n: &[u8], e: &[u8]) -> bool {
    let (n, e) = (significant(n), significant(e));
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    // With an exponent of 1, a message is its own signature. Larger ones than 64 bits are nobody's.
    BITS.contains(&bits(n)) && is_odd(n) && is_odd(e) && e != [1] && e.len() <= 8 && !is_roca(n)
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
        assert!(is_sound(&good, &[1, 0, 1]) && is_sound(&[&[0], &good[..]].concat(), &[0, 3]));
        for e in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0], &[1; 9]] {
            assert!(!is_sound(&good, e), "{e:?}");
        }
        let even = [&good[..255], &[0xC4]].concat();
        let (short, long) = (&good[1..], [1; 1025]);
        let half = [&[0x7F], &good[1..]].concat();
        for n in [&[][..], &even, short, &long, &half, &roca()] {
            assert!(!is_sound(n, &[1, 0, 1]), "{} bytes", n.len());
        }
    }
}
