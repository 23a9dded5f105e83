//! Server-sent events: cases of the HTML standard, and every way to cut them.

use behest_client::client::sse::{Decoder, Event, TooLarge};

use crate::tests;

fn event(name: &str, data: &str) -> Event {
    Event { name: name.to_owned(), data: data.to_owned() }
}

fn decode(chunks: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::new(1 << 20);
    let mut events = vec![];
    for chunk in chunks {
        decoder.push(chunk).unwrap();
        events.extend(std::iter::from_fn(|| decoder.next_event()));
    }
    decoder.finish();
    events.extend(std::iter::from_fn(|| decoder.next_event()));
    events
}

fn cases() -> Vec<(&'static [u8], Vec<Event>)> {
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

tests! {
    fn events_are_read_as_the_standard_says() {
        for (bytes, expected) in cases() {
            assert_eq!(decode(&[bytes]), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

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

    fn an_event_is_dispatched_without_waiting_for_the_next_byte() {
        for end in ["\n\n", "\r\n\r\n", "\r\r"] {
            let mut decoder = Decoder::new(100);
            decoder.push(format!("data: a{end}").as_bytes()).unwrap();
            assert_eq!(decoder.next_event(), Some(event("", "a")), "{end:?}");
        }
    }

    fn size_is_limited_for_a_line_and_for_an_event() {
        let mut decoder = Decoder::new(20);
        assert_eq!(decoder.push(&[b'x'; 21]), Err(TooLarge));
        let mut decoder = Decoder::new(20);
        assert_eq!(decoder.push(b"data: 1234567890\ndata: 1234567890\n"), Err(TooLarge));
        // Many small events are no large event.
        let mut decoder = Decoder::new(20);
        for _ in 0..1000 {
            decoder.push(b"data: 1234567890\n\n").unwrap();
            assert!(decoder.next_event().is_some());
        }
    }
}
