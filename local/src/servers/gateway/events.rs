//! Cuts a byte stream into whole server-sent events without changing a byte.

use bytes::{Bytes, BytesMut};
use serde_json::Value;

/// Far above any real event; a stream without event ends must not fill the memory.
const LARGEST_EVENT: usize = 4 * 1024 * 1024;

/// The stream has an event larger than the gateway holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Collects bytes until a blank line ends an event. Line ends may be LF, CRLF or CR.
#[derive(Debug)]
pub(crate) struct Events {
    pending: BytesMut,
    /// How far `pending` has been looked at.
    seen: usize,
    line_is_empty: bool,
    after_cr: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { pending: BytesMut::new(), seen: 0, line_is_empty: true, after_cr: false }
    }
}

impl Events {
    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() > LARGEST_EVENT.saturating_add(bytes.len()) { Err(TooLarge) } else { Ok(()) }
    }

    /// The next whole event with the blank line that ends it.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        while let Some(byte) = self.pending.get(self.seen).copied() {
            self.seen += 1;
            if byte == b'\n' && std::mem::take(&mut self.after_cr) {
                // The second half of a CRLF, which has been counted already.
                continue;
            }
            self.after_cr = byte == b'\r';
            if !matches!(byte, b'\n' | b'\r') {
                self.line_is_empty = false;
            } else if std::mem::replace(&mut self.line_is_empty, true) {
                let event = self.pending.split_to(self.seen).freeze();
                self.seen = 0;
                return Some(event);
            }
        }
        None
    }

    /// What came after the last whole event.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.seen = 0;
        self.pending.split().freeze()
    }
}

/// What an event says.
#[derive(Debug, PartialEq)]
pub(crate) enum Data {
    /// `data: [DONE]`
    Done,
    Json(Value),
    /// A comment, or data that is not JSON.
    Other,
}

/// Reads the `data` lines of one event.
pub(crate) fn data(event: &[u8]) -> Data {
    let text = String::from_utf8_lossy(event);
    let lines = text.split(['\n', '\r']).map(|line| line.trim_start_matches('\u{feff}'));
    let data: Vec<_> = lines.filter_map(|line| line.strip_prefix("data:")).collect();
    let data = data.join("\n");
    match data.trim() {
        "[DONE]" => Data::Done,
        json => serde_json::from_str(json).map_or(Data::Other, Data::Json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> (Vec<Bytes>, Bytes) {
        let mut events = Events::default();
        let mut whole = Vec::new();
        for piece in pieces {
            events.push(piece).unwrap();
            whole.extend(std::iter::from_fn(|| events.next()));
        }
        (whole, events.rest())
    }

    #[test]
    fn every_split_and_line_end_gives_the_same_events() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = [": hi", "", "data: 1", "data: 2", "", "data: [DONE]", "", "data: cut"].join(end);
            let stream = stream.as_bytes();
            let meanings = |events: &[Bytes]| events.iter().map(|event| data(event)).collect::<Vec<_>>();
            for at in 0..=stream.len() {
                let (events, rest) = cut(&[&stream[..at], &stream[at..]]);
                assert_eq!(meanings(&events), [Data::Other, Data::Other, Data::Done], "{end:?} at {at}");
                let joined: Vec<u8> = events.iter().chain([&rest]).flatten().copied().collect();
                assert_eq!(joined, stream, "no byte is lost or changed");
            }
            let bytes: Vec<_> = stream.chunks(1).collect();
            assert_eq!(cut(&bytes).0.len(), 3);
        }
    }

    #[test]
    fn an_event_is_passed_on_as_soon_as_it_is_whole() {
        let mut events = Events::default();
        for (piece, ready) in [("data: 1\r", false), ("\r", true), ("data: 2\n", false), ("\n", true)] {
            events.push(piece.as_bytes()).unwrap();
            assert_eq!(events.next().is_some(), ready, "{piece:?}");
        }
    }

    #[test]
    fn a_stream_without_ends_is_stopped() {
        let mut events = Events::default();
        let block = vec![b'x'; LARGEST_EVENT / 2];
        let mut stopped = false;
        for _ in 0..5 {
            stopped |= events.push(&block).is_err();
            assert!(events.next().is_none());
        }
        assert!(stopped);
    }

    #[test]
    fn data_lines_are_joined() {
        assert_eq!(data(b"event: x\ndata: {\"a\":\ndata:1}\n\n"), Data::Json(serde_json::json!({ "a": 1 })));
        assert_eq!(data(b"\xef\xbb\xbfdata: 5\n\n"), Data::Json(serde_json::json!(5)));
        assert_eq!(data(b"data: not json\n\n"), Data::Other);
    }
}
