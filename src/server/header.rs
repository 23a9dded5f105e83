//! A request's headers, as every host tells them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The value of a header. Several of one name are one, joined by commas (RFC 9110 section 5.3): that is how hosts of the Fetch API
/// tell them, so it is what all are judged by.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut joined = Cow::Borrowed(values.next()?);
    for value in values {
        joined.to_mut().extend_from_slice(b", ");
        joined.to_mut().extend_from_slice(value);
    }
    Some(joined)
}

/// The same without white space around it; `None` if nothing is left, which workerd does not tell from absent.
pub(super) fn stated<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let stated = match value(headers, name)? {
        Cow::Borrowed(value) => Cow::Borrowed(value.trim_ascii()),
        Cow::Owned(value) => Cow::Owned(value.trim_ascii().to_vec()),
    };
    Some(stated).filter(|value| !value.is_empty())
}

/// The same as text; an error if it is not plain ASCII.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Result<Cow<'a, str>, ()>> {
    let plain = |value: Cow<'a, [u8]>| match value {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(drop),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(drop),
    };
    stated(headers, name).map(|value| if value.is_ascii() { plain(value) } else { Err(()) })
}

#[cfg(test)]
mod tests {
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
        assert_eq!(told(&[b"one", b"two", b""]), Some(Ok("one, two,".to_owned())));
        assert_eq!(told(&["é".as_bytes()]), Some(Err(())));
    }
}
