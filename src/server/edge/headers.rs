//! Headers as text: `name: value`, one a line. A character of a value stands for a byte, as in the Fetch API.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use crate::server::credentials::APIKEY;
use crate::server::webhook;

/// The headers of a request that are looked at. A list of names instead of a parser of them, which is 12 kB.
const READ: [HeaderName; 4] = [AUTHORIZATION, APIKEY, ORIGIN, ACCESS_CONTROL_REQUEST_METHOD];

/// What no header can hold: some hosts hand on control characters, and workerd reads values as UTF-8. Cut to a byte such a
/// character would be another one, and left out the header would be absent: it stands for itself, and fits nothing.
const FOREIGN: u8 = 0xFF;

/// Reads those that are looked at.
pub(super) fn read(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in text.split('\n').filter_map(|line| line.split_once(": ")) {
        let name = READ.into_iter().chain(webhook::HEADERS).find(|known| known.as_str() == name);
        let byte = |letter| match letter {
            '\t' | ' '..='~' | '\u{80}'..='\u{FF}' => letter as u8,
            _ => FOREIGN,
        };
        let value = HeaderValue::from_bytes(&value.chars().map(byte).collect::<Vec<_>>());
        if let (Some(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

pub(super) fn write(headers: &HeaderMap) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        text.extend([name.as_str(), ": "]);
        text.extend(value.as_bytes().iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text
}
