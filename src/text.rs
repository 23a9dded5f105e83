//! Texts put together and searched without the standard library's formatting and searching, which would be a tenth of the
//! browser's module.

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
