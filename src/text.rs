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

/// Where `part` begins in `text`.
pub(crate) fn find(text: &str, part: &str) -> Option<usize> {
    text.as_bytes().windows(part.len().max(1)).position(|window| window == part.as_bytes())
}
