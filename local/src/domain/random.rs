//! Random names and keys.

use anyhow::{Result, anyhow};

fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random bytes"))?;
    Ok(bytes)
}

/// `N` random decimal digits.
pub(crate) fn digits<const N: usize>() -> Result<String> {
    let mut digits = String::with_capacity(N);
    while digits.len() < N {
        // Bytes from 250 on would make low digits more likely.
        digits.extend(bytes::<N>()?.into_iter().filter(|byte| *byte < 250).map(|byte| char::from(b'0' + byte % 10)));
    }
    digits.truncate(N);
    Ok(digits)
}

/// 128 random bits as 32 hexadecimal digits.
pub(crate) fn hex_key() -> Result<String> {
    Ok(bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `N` random characters, 5 bits each, lower-case letters and digits.
pub(crate) fn word<const N: usize>() -> Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    Ok(bytes::<N>()?.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect())
}
