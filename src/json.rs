//! Reading JSON where it lies: a text is checked once, and values are found in it without building any.
//!
//! For replies of other people's servers, of which a few fields matter, in any shape. Both halves read them through
//! [`Json`]; the chunks of a stream go through [`Scan`] in a single pass. What is accepted is what `JSON.parse` accepts,
//! up to [`DEEPEST`] levels.
#![cfg_attr(not(feature = "engine"), allow(dead_code))]

use crate::text::cut;

/// Deeper nesting is refused: no server means it, and no stack is without end.
const DEEPEST: u32 = 128;

/// A value inside a checked text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// `None` if the text is not JSON, or null.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut scan = Scan::new(text);
        let value = scan.json()?;
        scan.ends().then_some(value).and_then(Self::present)
    }

    /// As [`parse`](Self::parse), for a body as it came.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        Self::parse(std::str::from_utf8(bytes).ok()?)
    }

    /// The fields of an object, in one pass; none for any other value.
    pub(crate) fn fields(self) -> Fields<'a> {
        let mut fields = Vec::with_capacity(8);
        if self.is_object() {
            let _ = Scan::new(self.0).object(&mut |scan, key| {
                fields.push((key, scan.json()?));
                Some(())
            });
        }
        Fields(fields)
    }

    /// One field of an object.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        self.fields().get(name)
    }

    /// The items of an array that are not null; nothing for any other value.
    pub(crate) fn items(self) -> Vec<Self> {
        let mut items = Vec::new();
        if self.is_array() {
            let _ = Scan::new(self.0).array(&mut |scan| {
                items.extend(scan.json().and_then(Self::present));
                Some(())
            });
        }
        items
    }

    /// The first item of an array; nothing for any other value.
    pub(crate) fn first_item(self) -> Option<Self> {
        Scan::new(self.0.strip_prefix('[')?).json()
    }

    /// A string's text. Half a surrogate pair becomes U+FFFD.
    pub(crate) fn text(self) -> Option<String> {
        Some(Scan::new(self.0).string()?.text())
    }

    /// A number, as near as it matters to lifetimes and counts.
    pub(crate) fn number(self) -> Option<f64> {
        matches!(self.0.as_bytes(), [b'-' | b'0'..=b'9', ..]).then(|| number(self.0))
    }

    pub(crate) fn is_text(self) -> bool {
        self.0.starts_with('"')
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(crate) fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    /// The value's own text.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    pub(crate) fn present(self) -> Option<Self> {
        Some(self).filter(|json| json.0 != "null")
    }
}

/// The fields of an object.
pub(crate) struct Fields<'a>(Vec<(Text<'a>, Json<'a>)>);

impl<'a> Fields<'a> {
    /// The field of this name; the last one, if it is there twice. `None` if it is null.
    pub(crate) fn get(&self, name: &str) -> Option<Json<'a>> {
        self.0.iter().rev().find(|(key, _)| key.is(name)).and_then(|(_, value)| value.present())
    }

    /// Every field, in the order they are written.
    #[cfg_attr(not(feature = "sign-in"), allow(dead_code))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Text<'a>, Json<'a>)> {
        self.0.iter()
    }
}

/// A JSON number without the standard library's exact (and large) parser: counts and seconds need no last bit.
pub(crate) fn number(text: &str) -> f64 {
    let (mut value, mut scale, mut exponent) = (0.0, 0, 0i32);
    let (mut fraction, mut power, mut sign) = (false, None, 1);
    for byte in text.bytes() {
        match (byte, &mut power) {
            (b'-', Some(_)) => sign = -1,
            (b'.', _) => fraction = true,
            (b'e' | b'E', _) => power = Some(()),
            (b'0'..=b'9', Some(())) => exponent = exponent.saturating_mul(10).saturating_add(i32::from(byte - b'0')),
            (b'0'..=b'9', None) => {
                value = value * 10.0 + f64::from(byte - b'0');
                scale += i32::from(fraction);
            }
            _ => {}
        }
    }
    // Beyond these the result is zero or infinite in any case.
    let steps = (sign * exponent.min(999) - scale).clamp(-999, 999);
    let mut by = 1.0;
    for _ in 0..steps.abs() {
        by *= 10.0;
    }
    let value = if value == 0.0 || steps == 0 {
        value
    } else if steps > 0 {
        value * by
    } else {
        value / by
    };
    if text.starts_with('-') { -value } else { value }
}

/// A place in a text that is being checked. Every method stands at the first byte of what it reads, and leaves the place
/// behind its last; `None` means that this is not JSON.
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Any value, by its text.
    pub(crate) fn json(&mut self) -> Option<Json<'a>> {
        self.space();
        let from = self.at;
        self.skip()?;
        Some(Json(cut(self.text, from, self.at)))
    }

    /// Nothing but white space is left.
    pub(crate) fn ends(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.space();
        self.byte()
    }

    /// An object. `field` stands before the value of each key, and reads it.
    pub(crate) fn object(&mut self, field: &mut dyn FnMut(&mut Self, Text<'a>) -> Option<()>) -> Option<()> {
        self.list(b'{', b'}', &mut |scan| {
            scan.space();
            let key = scan.string()?;
            scan.space();
            scan.expect(b':')?;
            field(scan, key)
        })
    }

    /// An array. `item` stands before each item, and reads it.
    pub(crate) fn array(&mut self, item: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list(b'[', b']', item)
    }

    fn list(&mut self, open: u8, close: u8, item: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.space();
        self.expect(open)?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        if self.peek()? == close {
            self.at += 1;
        } else {
            loop {
                item(self)?;
                let next = self.peek()?;
                self.at += 1;
                match next {
                    b',' => {}
                    end if end == close => break,
                    _ => return None,
                }
            }
        }
        self.depth -= 1;
        Some(())
    }

    /// Any value, unread.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.object(&mut |scan, _| scan.skip()),
            b'[' => self.array(&mut Self::skip),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.word("null"),
        }
    }

    /// A string; `None` for any other value.
    pub(crate) fn string(&mut self) -> Option<Text<'a>> {
        let (length, escaped) = string(&self.text.as_bytes()[self.at..])?;
        let from = self.at + 1;
        self.at += length;
        Some(Text { raw: cut(self.text, from, self.at - 1), escaped })
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.byte()? == byte).then(|| self.at += 1)
    }

    // Asked at every byte that is no string's.
    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        // The first comparison is the usual answer.
        while self.byte().is_some_and(|byte| byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

/// How long the string is that begins here, with its quotes, and whether it has escapes.
fn string(bytes: &[u8]) -> Option<(usize, bool)> {
    let rest = bytes.strip_prefix(b"\"")?;
    let mut escaped = false;
    let mut at = plain_bytes(rest);
    loop {
        match *rest.get(at)? {
            b'"' => return Some((at + 2, escaped)),
            b'\\' => {
                escaped = true;
                at += match *rest.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                    b'u' if rest.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => 6,
                    _ => return None,
                };
            }
            _ => return None,
        }
        at += plain_bytes(&rest[at..]);
    }
}

/// How long the string is that begins here, with its quotes.
pub(crate) fn string_length(bytes: &[u8]) -> Option<usize> {
    string(bytes).map(|(length, _)| length)
}

/// How many bytes from the start are a string's plain ones, eight at a time: neither quote nor backslash nor control.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let (eights, rest) = bytes.as_chunks::<8>();
    for (index, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        // The lowest bit set in the end stands for the first byte that borrowed: one of the three kinds.
        let less = |limit: u8, word: u64| word.wrapping_sub(ONES * u64::from(limit)) & !word;
        let quote = less(1, word ^ (ONES * u64::from(b'"')));
        let backslash = less(1, word ^ (ONES * u64::from(b'\\')));
        let special = (quote | backslash | less(0x20, word)) & (ONES << 7);
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    eights.len() * 8 + rest.iter().position(special).unwrap_or(rest.len())
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// One that means what it is.
    pub(crate) fn plain(raw: &'a str) -> Self {
        Self { raw, escaped: false }
    }
}

impl Text<'_> {
    /// Is it this one, however it was written?
    pub(crate) fn is(self, text: &str) -> bool {
        if !self.escaped {
            return self.raw == text;
        }
        self.text() == text
    }

    /// What it means.
    pub(crate) fn text(self) -> String {
        let mut text = String::new();
        self.write_to(&mut text);
        text
    }

    pub(crate) fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// What stands before and behind it in the text it was found in, with its quotes.
    pub(crate) fn around(self, whole: &str) -> (&str, &str) {
        let from = self.raw.as_ptr() as usize - whole.as_ptr() as usize;
        (cut(whole, 0, from), cut(whole, from + self.raw.len(), whole.len()))
    }

    /// As it was written, without its quotes.
    #[cfg_attr(not(all(feature = "js", target_arch = "wasm32")), allow(dead_code))]
    pub(crate) fn raw(&self) -> &str {
        self.raw
    }

    /// As long as it is in its escaped form.
    pub(crate) fn len(self) -> usize {
        self.raw.len()
    }

    /// Writes what it means. Half a surrogate pair becomes U+FFFD.
    pub(crate) fn write_to(self, out: &mut String) {
        let half = self.write(out, None);
        out.extend(half.map(|_| char::REPLACEMENT_CHARACTER));
    }

    /// As [`write_to`](Self::write_to), for a text in several pieces: `half` is the first half of a pair that the piece
    /// before this one ended with, and what is given back is that of this one.
    pub(crate) fn write(self, out: &mut String, half: Option<u16>) -> Option<u16> {
        if !self.escaped && half.is_none() {
            out.push_str(self.raw);
            return None;
        }
        let mut first = half;
        let mut rest = self.raw;
        while !rest.is_empty() {
            let (plain, escape) = rest.split_at_checked(plain_bytes(rest.as_bytes())).unwrap_or((rest, ""));
            if !plain.is_empty() {
                out.extend(first.take().map(|_| char::REPLACEMENT_CHARACTER));
                out.push_str(plain);
            }
            let Some(kind) = escape.as_bytes().get(1) else { break };
            rest = escape.get(if *kind == b'u' { 6 } else { 2 }..).unwrap_or_default();
            let unit = match kind {
                b'b' => 8,
                b'f' => 12,
                b'n' => 10,
                b'r' => 13,
                b't' => 9,
                b'u' => escape.bytes().skip(2).take(4).fold(0, |unit, digit| unit << 4 | hex(digit)),
                other => u16::from(*other),
            };
            first = match (first, unit) {
                (Some(high), 0xDC00..=0xDFFF) => {
                    let code = 0x1_0000 + (u32::from(high & 0x3FF) << 10) + u32::from(unit & 0x3FF);
                    out.extend(char::from_u32(code));
                    None
                }
                (lone, unit) => {
                    out.extend(lone.map(|_| char::REPLACEMENT_CHARACTER));
                    if matches!(unit, 0xD800..=0xDBFF) {
                        Some(unit)
                    } else {
                        out.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER));
                        None
                    }
                }
            };
        }
        first
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u16 {
    u16::from(if digit.is_ascii_digit() { digit - b'0' } else { (digit & 0xF) + 9 })
}

/// Writes a text as a JSON string, quotes included.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let plain = plain_bytes(rest.as_bytes());
        out.push_str(cut(rest, 0, plain));
        let Some(&byte) = rest.as_bytes().get(plain) else { break };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            control => {
                out.push_str(if control < 0x10 { "\\u000" } else { "\\u001" });
                out.extend(char::from_digit(u32::from(control) & 0xF, 16));
            }
        }
        rest = cut(rest, plain + 1, rest.len());
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Valid and invalid JSON, each of which serde_json must judge alike.
    const TEXTS: &[&str] = &[
        "null",
        " 1 ",
        "-0",
        "01",
        "1.",
        "1.5e+3",
        "1e",
        "-",
        "+1",
        "tru",
        "true",
        "false",
        "nul",
        "\"a\"",
        "\"a",
        "'a'",
        "\"\\u00e9\"",
        "\"\\u00g9\"",
        "\"\\x\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "[]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,[2,{\"a\":[]}]]",
        "{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\" : 1 , \"b\" : [ ] }",
        "{}{}",
        "",
        " ",
        "\"0123456789abcdef\\\"0123456789\"",
        "\"0123456\n89\"",
        "[[[[[[[[[[1]]]]]]]]]]",
        "\"\\ud83d\\ude00\"",
        "123456789012345678901234567890",
    ];

    #[test]
    fn the_same_texts_are_json_as_for_serde_json() {
        for text in TEXTS {
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            let mut scan = Scan::new(text);
            let ours = scan.json().is_some() && scan.ends();
            assert_eq!(ours, theirs.is_ok(), "{text:?}");
            if let Ok(serde_json::Value::String(theirs)) = theirs {
                assert_eq!(Json::parse(text).unwrap().text().unwrap(), theirs, "{text:?}");
            }
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(&nested(128)).is_some());
        assert!(Json::parse(&nested(129)).is_none());
        assert!(Json::parse(&"[".repeat(1_000_000)).is_none());
    }

    #[test]
    fn keys_count_however_they_are_written_and_the_last_of_two() {
        let json = Json::parse(r#"{"a":1,"\u0061":2,"b":{"a":3},"c":null}"#).unwrap();
        assert_eq!(json.field("a").and_then(Json::number), Some(2.0));
        assert_eq!(json.field("b").and_then(|b| b.field("a")).and_then(Json::number), Some(3.0));
        assert!(json.field("c").is_none() && json.field("d").is_none());
        assert!(json.field("a").unwrap().field("x").is_none());
    }

    #[test]
    fn numbers_are_near_enough() {
        for text in ["0", "7", "-12.5", "1.8e19", "1e30", "90.5", "1e-3", "123456789012", "2.5E+2"] {
            let exact: f64 = text.parse().unwrap();
            assert!((number(text) - exact).abs() <= exact.abs() * 1e-12, "{text}");
        }
        assert_eq!(number("1e999"), f64::INFINITY);
        assert_eq!(number("0e999999999999"), 0.0);
    }

    #[test]
    fn halves_of_surrogate_pairs_are_joined_across_pieces_and_replaced_alone() {
        let read = |pieces: &[&str]| {
            let (mut text, mut half) = (String::new(), None);
            for piece in pieces {
                half = Scan::new(piece).string().unwrap().write(&mut text, half);
            }
            text.extend(half.map(|_| char::REPLACEMENT_CHARACTER));
            text
        };
        assert_eq!(read(&[r#""\ud83d""#, r#""\ude00""#]), "\u{1F600}");
        assert_eq!(read(&[r#""\ud83d""#, r#""""#, r#""\ude00!""#]), "\u{1F600}!");
        assert_eq!(read(&[r#""\ud83d""#, r#""x""#]), "\u{FFFD}x");
        assert_eq!(read(&[r#""\ude00\ud83d\ud83d\ude00""#]), "\u{FFFD}\u{FFFD}\u{1F600}");
        assert_eq!(read(&[r#""a\ud83d""#]), "a\u{FFFD}");
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        let every: String = (0..0x120).filter_map(char::from_u32).chain(['\u{1F600}']).collect();
        let mut quoted = String::new();
        quote(&every, &mut quoted);
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), every);
        assert_eq!(Json::parse(&quoted).unwrap().text().unwrap(), every);
    }
}
