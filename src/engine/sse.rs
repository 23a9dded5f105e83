//! Server-sent events from bytes: incremental, linear in the input, bounded in memory, and without a copy where an event
//! lies whole in what the network gave.
//!
//! Follows the [event stream interpretation](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)
//! of the HTML standard, without `id` and `retry`: a paid request is never sent again behind the caller's back.

use std::borrow::Cow;

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
                return Ok(Some(Event { is_error, data: text(data) }));
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
        Event { is_error: std::mem::take(&mut self.is_error), data: text(&self.data) }
    }
}

/// The usual case first: it is the fast one.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
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
