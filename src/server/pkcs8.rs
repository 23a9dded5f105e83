//! RSA private keys in the one form that WebCrypto takes, from the two in which they are handed around.

use super::rsa;

/// SEQUENCE { OID rsaEncryption, NULL }, as RFC 8017 appendix C has it.
const RSA_ENCRYPTION: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;

/// A private key, with what its signatures are checked by.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PrivateKey {
    pub(super) pkcs8: Vec<u8>,
    pub(super) modulus: Vec<u8>,
    pub(super) exponent: Vec<u8>,
}

/// Reads PKCS#8 or PKCS#1 of a sound RSA key. `None` if it is anything else.
pub(super) fn from_der(der: &[u8]) -> Option<PrivateKey> {
    let (key, []) = element(SEQUENCE, der)? else { return None };
    let (version, rest) = element(INTEGER, key)?;
    if version != [0] {
        return None;
    }
    let (pkcs1, pkcs8) = match rest.strip_prefix(&RSA_ENCRYPTION) {
        Some(rest) => (element(OCTET_STRING, rest)?.0, der.to_vec()),
        None => {
            (der, encode(SEQUENCE, &[&encode(INTEGER, &[0]), &RSA_ENCRYPTION[..], &encode(OCTET_STRING, der)].concat()))
        }
    };
    let (modulus, exponent) = public_numbers(pkcs1)?;
    rsa::flaw(modulus, exponent).is_none().then(|| PrivateKey {
        pkcs8,
        modulus: modulus.to_vec(),
        exponent: exponent.to_vec(),
    })
}

/// Modulus and public exponent of an RSAPrivateKey with two primes.
fn public_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut rest, []) = element(SEQUENCE, der)? else { return None };
    let mut numbers = Vec::new();
    while !rest.is_empty() {
        let (number, after) = element(INTEGER, rest)?;
        numbers.push(rsa::significant(number));
        rest = after;
    }
    // version, modulus, two exponents, two primes, three values for the Chinese remainder theorem
    match numbers[..] {
        [[], modulus, exponent, _, _, _, _, _, _] => Some((modulus, exponent)),
        _ => None,
    }
}

/// The content of the element with this tag at the start of `der`, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..=0x7f => (short, rest),
        long @ 0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(long - 0x80)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![tag];
    match content.len() {
        short @ 0..=0x7f => der.push(short as u8),
        _ => {
            der.push(0x80 + significant.len() as u8);
            der.extend_from_slice(significant);
        }
    }
    der.extend_from_slice(content);
    der
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};

    use super::*;

    fn pkcs8(size: KeySize) -> Vec<u8> {
        let pair = KeyPair::generate(size).unwrap();
        AsDer::<Pkcs8V1Der>::as_der(&pair).unwrap().as_ref().to_vec()
    }

    #[test]
    fn both_forms_of_a_key_give_the_same_bytes() {
        for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
            let pkcs8 = pkcs8(size);
            let start =
                pkcs8.len() - element(OCTET_STRING, &element(SEQUENCE, &pkcs8).unwrap().0[18..]).unwrap().0.len();
            let pkcs1 = &pkcs8[start..];
            assert!(KeyPair::from_der(pkcs1).is_ok());
            for form in [&pkcs8, pkcs1] {
                let key = from_der(form).unwrap();
                assert!(key.pkcs8 == pkcs8 && key.exponent == [1, 0, 1] && key.modulus.len() >= 256);
            }
        }
    }

    #[test]
    fn what_is_cut_lengthened_or_another_kind_of_key_is_refused() {
        let pkcs8 = pkcs8(KeySize::Rsa2048);
        for end in 0..pkcs8.len() {
            assert!(from_der(&pkcs8[..end]).is_none(), "cut at {end}");
        }
        assert!(from_der(&[&pkcs8[..], &[0]].concat()).is_none());
        let mut elliptic = pkcs8.clone();
        elliptic[12] ^= 1;
        assert!(from_der(&elliptic).is_none());
        let numbers: Vec<u8> = [1, 128, 3, 64, 64, 64, 64, 64].iter().fold(encode(INTEGER, &[0]), |mut all, length| {
            all.extend(encode(INTEGER, &vec![0x7f; *length]));
            all
        });
        assert!(from_der(&encode(SEQUENCE, &numbers)).is_none());
    }
}
