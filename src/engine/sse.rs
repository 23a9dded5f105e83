//! Server-sent events from bytes: incremental, linear in the input, bounded in memory, and without a copy where an event
//! lies whole in what the network gave.
//!
//! Follows the [event stream interpretation](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)
//! of the HTML standard, without `id` and `retry`: a paid request is never sent again behind the caller's back.

use std::borrow::Cow;

use crate::text::lossy;

/// One dispatched event.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    /// Its `event` field says `error`.
    pub(crate) is_error: bool,
    /// The `data` fields, joined by line feeds; bad UTF-8 is replaced.
    pub(crate) data: Cow<'a, str>,
}

/// An event or a line grew past the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Turns any split of a byte stream into the same events.
pub(crate) struct Decoder {
    limit: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// `data` was handed out with its event.
    handed_out: bool,
    is_error: bool,
    /// The last byte was CR: a following LF belongs to the same line end.
    after_cr: bool,
    at_start: bool,
}

impl Decoder {
    /// A decoder that refuses events of more than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            handed_out: false,
            is_error: false,
            after_cr: false,
            at_start: true,
        }
    }

    /// Nothing of an event has come yet: what comes next is the start of one.
    pub(crate) fn is_between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data && !self.is_error && !self.after_cr && !self.at_start
    }

    /// Takes from the next bytes up to the end of an event, and gives that event. `None`: the bytes are used up.
    pub(crate) fn next<'a, 'b: 'a>(&'a mut self, bytes: &mut &'b [u8]) -> Result<Option<Event<'a>>, TooLarge> {
        if std::mem::take(&mut self.handed_out) {
            self.data.clear();
        }
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let (line, rest) = bytes.split_at(line_end(bytes));
            if self.line.len() + self.data.len() + line.len() > self.limit {
                return Err(TooLarge);
            }
            let Some(&last) = rest.first() else {
                self.line.extend_from_slice(line);
                *bytes = rest;
                return Ok(None);
            };
            if let (Some(data), Some(after)) = (line.strip_prefix(b"data: "), rest.strip_prefix(b"\n\n"))
                && self.line.is_empty()
                && !self.has_data
                && !self.at_start
            {
                // By far the most common event: nothing of it needs to be kept.
                *bytes = after;
                let is_error = std::mem::take(&mut self.is_error);
                return Ok(Some(Event { is_error, data: lossy(data) }));
            }
            self.after_cr = last == b'\r';
            *bytes = &rest[1..];
            let is_event = if self.line.is_empty() {
                self.end_line(line)
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                let is_event = self.end_line(&whole);
                // The allocation serves the next line.
                whole.clear();
                self.line = whole;
                is_event
            };
            if is_event {
                return Ok(Some(self.event()));
            }
        }
        Ok(None)
    }

    /// The bytes are over: an event that lacks only its blank line is dispatched after all.
    ///
    /// The standard drops it; servers that end with `data: [DONE]` and no blank line exist.
    pub(crate) fn finish(&mut self) -> Option<Event<'_>> {
        if std::mem::take(&mut self.handed_out) {
            self.data.clear();
        }
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.end_line(&line);
        }
        self.has_data.then(|| self.event())
    }

    /// `true` at a blank line that ends an event.
    fn end_line(&mut self, mut line: &[u8]) -> bool {
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            self.is_error &= self.has_data;
            return self.has_data;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.is_error = value == b"error",
            // Comments have an empty name; id, retry and unknown fields are of no use here.
            _ => {}
        }
        false
    }

    fn event(&mut self) -> Event<'_> {
        self.has_data = false;
        self.handed_out = true;
        Event { is_error: std::mem::take(&mut self.is_error), data: lossy(&self.data) }
    }
}

/// Where the line ends: at the first LF or CR, or with the bytes.
fn line_end(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let (eights, rest) = bytes.as_chunks::<8>();
    for (index, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let ends = (zero(word ^ (ONES * 10)) | zero(word ^ (ONES * 13))) & (ONES << 7);
        if ends != 0 {
            return index * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
    eights.len() * 8 + end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> (bool, String) {
        (name == "error", data.to_owned())
    }

    fn owned(event: Event<'_>) -> (bool, String) {
        (event.is_error, event.data.into_owned())
    }

    fn decode(chunks: &[&[u8]]) -> Vec<(bool, String)> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events = vec![];
        for mut chunk in chunks.iter().copied() {
            while let Some(event) = decoder.next(&mut chunk).unwrap() {
                events.push(owned(event));
            }
            assert!(chunk.is_empty());
        }
        events.extend(decoder.finish().map(owned));
        events
    }

    type Events = Vec<(bool, String)>;

    fn cases() -> Vec<(&'static [u8], Events)> {
        vec![
            (b"data: a\n\n", vec![event("", "a")]),
            (b"data: a\r\n\r\n", vec![event("", "a")]),
            (b"data: a\r\r", vec![event("", "a")]),
            (b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\n", ["a", "b", "c", "d"].map(|d| event("", d)).to_vec()),
            (b"\xEF\xBB\xBFdata: bom\n\n", vec![event("", "bom")]),
            (b"data: \xEF\xBB\xBFinside\n\n", vec![event("", "\u{FEFF}inside")]),
            (b"data:no space\ndata:  two spaces\n\n", vec![event("", "no space\n two spaces")]),
            (b"data\ndata\n\n", vec![event("", "\n")]),
            (b"data:\n\n", vec![event("", "")]),
            (b": comment\n\n: another\ndata: x\n\n", vec![event("", "x")]),
            (b"event: error\ndata: {}\n\ndata: y\n\n", vec![event("error", "{}"), event("", "y")]),
            (b"event: nothing\n\n", vec![]),
            (b"event: error\n\ndata: x\n\n", vec![event("", "x")]),
            (b"id: 7\nretry: 10\nunknown: z\ndata: x\n\n", vec![event("", "x")]),
            (b"data: {\"a\":\"b:c\"}\n\n", vec![event("", "{\"a\":\"b:c\"}")]),
            ("data: h\u{e9}llo \u{1F600}\n\n".as_bytes(), vec![event("", "h\u{e9}llo \u{1F600}")]),
            (b"data: bad\xFFbyte\n\ndata: next\n\n", vec![event("", "bad\u{FFFD}byte"), event("", "next")]),
            // Not in the standard: an end without the blank line still counts.
            (b"data: a\n\ndata: [DONE]", vec![event("", "a"), event("", "[DONE]")]),
            (b"data: a\n\ndata: [DONE]\n", vec![event("", "a"), event("", "[DONE]")]),
            (b"", vec![]),
            (b"\n\n\r\n\r\r", vec![]),
        ]
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        for (bytes, expected) in cases() {
            assert_eq!(decode(&[bytes]), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn any_split_gives_the_same_events() {
        let all: Vec<u8> = cases().into_iter().flat_map(|(bytes, _)| [bytes, b"\n\n"].concat()).collect();
        let streams = cases().into_iter().map(|(bytes, _)| bytes.to_vec()).chain([all]);
        for bytes in streams {
            let whole = decode(&[&bytes]);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single), whole);
            for cut in 0..=bytes.len() {
                assert_eq!(decode(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
                for second in cut..=bytes.len().min(cut + 4) {
                    assert_eq!(decode(&[&bytes[..cut], b"", &bytes[cut..second], &bytes[second..]]), whole);
                }
            }
        }
    }

    #[test]
    fn an_event_is_dispatched_without_waiting_for_the_next_byte() {
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            let mut decoder = Decoder::new(100);
            let bytes = format!("data: a{end}");
            let event = decoder.next(&mut bytes.as_bytes()).unwrap().map(owned);
            assert_eq!(event, Some((false, "a".to_owned())), "{end:?}");
        }
    }

    #[test]
    fn size_is_limited_for_a_line_and_for_an_event() {
        let too_large = |bytes: &[u8]| {
            let (mut decoder, mut bytes) = (Decoder::new(20), bytes);
            decoder.next(&mut bytes).is_err()
        };
        assert!(too_large(&[b'x'; 21]));
        assert!(too_large(b"data: 1234567890\ndata: 1234567890\n"));
        // Many small events are no large event.
        let mut decoder = Decoder::new(20);
        for _ in 0..1000 {
            assert!(decoder.next(&mut &b"data: 1234567890\n\n"[..]).unwrap().is_some());
        }
    }
}
