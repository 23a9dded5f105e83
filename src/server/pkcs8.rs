//! RSA private keys in the one form that WebCrypto takes, from the two in which they are handed around.

/// SEQUENCE { OID rsaEncryption, NULL }, as RFC 8017 appendix C has it.
const RSA_ENCRYPTION: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// PKCS#8 of an RSA key of 2048 to 8192 bits, from PKCS#8 or PKCS#1. `None` if it is anything else.
pub(super) fn from_der(der: &[u8]) -> Option<Vec<u8>> {
    let (key, []) = element(SEQUENCE, der)? else { return None };
    let (version, rest) = element(INTEGER, key)?;
    if version != [0] {
        return None;
    }
    if let Some(rest) = rest.strip_prefix(&RSA_ENCRYPTION) {
        let (inner, _attributes) = element(OCTET_STRING, rest)?;
        return is_rsa_key(inner).then(|| der.to_vec());
    }
    is_rsa_key(der)
        .then(|| encode(SEQUENCE, &[&encode(INTEGER, &[0]), &RSA_ENCRYPTION[..], &encode(OCTET_STRING, der)].concat()))
}

/// Is this an RSAPrivateKey of a size that is accepted, with two primes?
fn is_rsa_key(der: &[u8]) -> bool {
    let numbers = || {
        let (mut rest, []) = element(SEQUENCE, der)? else { return None };
        let mut numbers = Vec::new();
        while !rest.is_empty() {
            let (number, after) = element(INTEGER, rest)?;
            numbers.push(number);
            rest = after;
        }
        Some(numbers)
    };
    // version, modulus, two exponents, two primes, three values for the Chinese remainder theorem
    numbers().is_some_and(|numbers| numbers.len() == 9 && numbers[0] == [0] && BITS.contains(&bits(numbers[1])))
}

fn bits(number: &[u8]) -> usize {
    let significant = &number[number.iter().take_while(|byte| **byte == 0).count()..];
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
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
            assert_eq!(from_der(&pkcs8).as_deref(), Some(&pkcs8[..]));
            assert_eq!(from_der(pkcs1).as_deref(), Some(&pkcs8[..]));
        }
    }

    #[test]
    fn what_is_cut_lengthened_or_another_kind_of_key_is_refused() {
        let pkcs8 = pkcs8(KeySize::Rsa2048);
        for end in 0..pkcs8.len() {
            assert_eq!(from_der(&pkcs8[..end]), None, "cut at {end}");
        }
        assert_eq!(from_der(&[&pkcs8[..], &[0]].concat()), None);
        let mut elliptic = pkcs8.clone();
        elliptic[12] ^= 1;
        assert_eq!(from_der(&elliptic), None);
        let numbers: Vec<u8> = [1, 128, 3, 64, 64, 64, 64, 64].iter().fold(encode(INTEGER, &[0]), |mut all, length| {
            all.extend(encode(INTEGER, &vec![0x7f; *length]));
            all
        });
        assert_eq!(from_der(&encode(SEQUENCE, &numbers)), None);
    }
}
