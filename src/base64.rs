//! Base64 (RFC 4648), read strictly: stray bits, white space and letters of another alphabet are refused. (A library for it is
//! as large as the engine's whole token cache.)
#![cfg_attr(not(feature = "server"), allow(dead_code))]

/// [Base64url](https://www.rfc-editor.org/rfc/rfc4648#section-5) without padding, as JWTs have it.
pub(crate) fn decode_url(text: &str) -> Option<Vec<u8>> {
    decode(text, *b"-_")
}

/// The usual alphabet; padding is right or absent, as dashboards and shells lose it.
pub(crate) fn decode_standard(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    (padding == 0 || (padding < 3 && text.len().is_multiple_of(4))).then(|| decode(bare, *b"+/"))?
}

/// Base64url without padding.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    let mut text = String::new();
    push_url(bytes, &mut text);
    text
}

/// As [`encode_url`], at the end of `text`.
pub(crate) fn push_url(bytes: &[u8], text: &mut String) {
    text.reserve(bytes.len().div_ceil(3) * 4);
    let (threes, rest) = bytes.as_chunks::<3>();
    for [one, two, three] in threes {
        push_letters([*one, *two, *three], 4, text);
    }
    match *rest {
        [one, two] => push_letters([one, two, 0], 3, text),
        [one] => push_letters([one, 0, 0], 2, text),
        _ => {}
    }
}

fn push_letters([one, two, three]: [u8; 3], count: usize, text: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sixes = [one >> 2, one << 4 | two >> 4, two << 2 | three >> 6, three];
    let letters = sixes.map(|six| LETTERS[usize::from(six & 63)]);
    text.push_str(std::str::from_utf8(&letters[..count]).unwrap_or_default());
}

/// `last` are the letters for 62 and 63.
fn decode(text: &str, last: [u8; 2]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            letter if letter == last[0] => 62,
            letter if letter == last[1] => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // What is left over must be less than a character, and nothing.
    let left = bits & ((1 << count) - 1);
    (count < 6 && left == 0).then_some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn it_reads_and_writes_what_the_library_does() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for length in 0..bytes.len() {
            let part = &bytes[..length];
            assert_eq!(encode_url(part), URL_SAFE_NO_PAD.encode(part));
            assert_eq!(decode_url(&encode_url(part)).unwrap(), part);
            assert_eq!(decode_standard(&STANDARD.encode(part)).unwrap(), part);
            assert_eq!(decode_standard(&STANDARD_NO_PAD.encode(part)).unwrap(), part);
        }
    }

    /// Of letters that stand for their kind, in every order.
    #[test]
    fn it_refuses_what_the_library_does() {
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer =
                texts.iter().flat_map(|text| "AQRz+/-_=\n".chars().map(move |letter| format!("{text}{letter}")));
            texts = longer.collect();
            for text in &texts {
                assert_eq!(decode_url(text), URL_SAFE_NO_PAD.decode(text).ok(), "{text}");
                let standard = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
                assert_eq!(decode_standard(text), standard.ok(), "{text}");
            }
        }
    }

    #[test]
    fn what_is_not_exactly_so_is_refused() {
        for text in ["A", "AB=", "AB==", "A B", "AB\n", "AR", "AAB", "AAA=", "+/+/", "A.AA"] {
            assert_eq!(decode_url(text).is_some(), URL_SAFE_NO_PAD.decode(text).is_ok(), "{text}");
        }
        for text in ["=", "A===", "AA=", "AA===", "AAAA=", "AAA==", "-_-_", "AA==AA", "AB==", "A A="] {
            assert_eq!(decode_standard(text), None, "{text}");
        }
    }
}
