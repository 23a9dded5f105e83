//! Texts put together and searched without the standard library's formatting and searching, which would be a tenth of the
//! browser's module.

use std::borrow::Cow;

/// A number in decimal digits.
pub(crate) fn digits(number: u64) -> String {
    let mut text = String::new();
    write_digits(number, &mut text);
    text
}

pub(crate) fn write_digits(number: u64, out: &mut String) {
    if number >= 10 {
        write_digits(number / 10, out);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

/// The part of a text between two places; empty if there is none. Indexing does the same, and panics with a message whose
/// formatting is as large as the whole of `json.rs`.
pub(crate) fn cut(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// What stands before and behind the first of these ASCII characters.
pub(crate) fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((cut(text, 0, place), cut(text, place + 1, text.len())))
}

/// A number of decimal digits that fits 16 bits.
pub(crate) fn small_number(text: &str) -> Option<u16> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let add = |value: u16, byte: u8| value.checked_mul(10)?.checked_add(digit(byte)?);
    if text.is_empty() { None } else { text.bytes().try_fold(0, add) }
}

/// Where `part` begins in `text`.
pub(crate) fn find(text: &str, part: &str) -> Option<usize> {
    text.as_bytes().windows(part.len().max(1)).position(|window| window == part.as_bytes())
}

/// Adds a parameter to the query of a URL.
#[cfg_attr(not(any(feature = "engine", feature = "server")), allow(dead_code))]
pub(crate) fn push_parameter(name: &str, value: &str, url: &mut String) {
    url.push(if split_once(url, b'?').is_some() { '&' } else { '?' });
    percent_encode(name, url);
    url.push('=');
    percent_encode(value, url);
}

/// Percent-encoded as a part of a path or a query: all but [unreserved](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)
/// characters, and the star of `select=*`.
#[cfg_attr(not(any(feature = "engine", feature = "server")), allow(dead_code))]
pub(crate) fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' => out.push(char::from(byte)),
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 0x0F] {
                    out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
                }
            }
        }
    }
}

/// The text of these bytes, with what is not UTF-8 replaced. Valid text is the usual case, and the fast one.
pub(crate) fn lossy(mut bytes: &[u8]) -> Cow<'_, str> {
    let mut replaced = String::new();
    loop {
        let error = match std::str::from_utf8(bytes) {
            Ok(text) if replaced.is_empty() => return Cow::Borrowed(text),
            Ok(text) => {
                replaced.push_str(text);
                return Cow::Owned(replaced);
            }
            Err(error) => error,
        };
        let (valid, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or_default();
        replaced.push_str(std::str::from_utf8(valid).unwrap_or_default());
        replaced.push(char::REPLACEMENT_CHARACTER);
        // What may be the beginning of a character is one, too.
        bytes = rest.get(error.error_len().unwrap_or(rest.len())..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_a_query_stays_in_its_place() {
        let mut url = "https://a.b".to_owned();
        push_parameter("to", "http://c/?d=e&f", &mut url);
        push_parameter("g=", "é*", &mut url);
        assert_eq!(url, "https://a.b?to=http%3A%2F%2Fc%2F%3Fd%3De%26f&g%3D=%C3%A9*");
    }

    #[test]
    fn bad_utf8_is_replaced_as_the_standard_library_does() {
        let pieces: [&[u8]; 9] =
            [b"", b"a", "é".as_bytes(), b"\xC3", b"\xE2\x82", b"\xF0\x9F\x98", b"\xFF", b"\xED\xA0\x80", b"\x80"];
        for one in pieces {
            for two in pieces {
                for three in pieces {
                    let bytes = [one, two, three].concat();
                    assert_eq!(lossy(&bytes), String::from_utf8_lossy(&bytes), "{bytes:?}");
                }
            }
        }
    }
}
