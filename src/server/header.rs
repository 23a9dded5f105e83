//! A request's headers, as every host tells them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

/// The value of a header. Several of one name are one, joined by commas (RFC 9110 section 5.3): that is how hosts of the Fetch API
/// tell them, so it is what all are judged by.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
    let mut joined = Cow::Borrowed(values.next()?);
    for value in values {
        joined.to_mut().extend_from_slice(b", ");
        joined.to_mut().extend_from_slice(value);
    }
    Some(joined)
}

/// The same as text, unless it is blank, which workerd does not tell from absent; an error if it is not plain ASCII.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Result<Cow<'a, str>, ()>> {
    let plain = |value: Cow<'a, [u8]>| match value {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(drop),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(drop),
    };
    let value = value(headers, name).filter(|value| !value.is_empty());
    value.map(|value| if value.is_ascii() { plain(value) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    use super::*;

    #[test]
    fn several_are_one_and_a_blank_one_is_none() {
        let told = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a header can hold it"));
            }
            text(&headers, &AUTHORIZATION).map(|text| text.map(Cow::into_owned))
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[b" "]), None);
        assert_eq!(told(&[b"one "]), Some(Ok("one".to_owned())));
        assert_eq!(told(&[b"one", b" two", b""]), Some(Ok("one, two, ".to_owned())));
        assert_eq!(told(&["é".as_bytes()]), Some(Err(())));
    }
}
