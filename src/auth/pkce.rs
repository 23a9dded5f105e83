//! Proof of a redirect ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)), and addresses: what stands in their query or
//! fragment.

use sha2::{Digest as _, Sha256};

use super::back::Back;
use crate::base64::encode_url;
use crate::text::{cut, lossy, split_once};

/// A new verifier: 256 random bits, in 43 characters.
pub(super) fn verifier(random: [[u8; 16]; 2]) -> String {
    encode_url(random.as_flattened())
}

/// What is shown of the verifier beforehand.
pub(super) fn challenge(verifier: &str) -> String {
    encode_url(&Sha256::digest(verifier.as_bytes()))
}

/// An address, by the pairs of its query and its fragment.
pub(super) struct Address<'a> {
    base: &'a str,
    query: Vec<&'a str>,
    fragment: Vec<&'a str>,
}

impl<'a> Address<'a> {
    pub(super) fn of(url: &'a str) -> Self {
        let (rest, fragment) = split_once(url, b'#').unwrap_or((url, ""));
        let (base, query) = split_once(rest, b'?').unwrap_or((rest, ""));
        let pairs = |text: &'a str| text.split('&').filter(|pair| !pair.is_empty()).collect();
        Self { base, query: pairs(query), fragment: pairs(fragment) }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let of = |pair: &&str| {
            let (key, value) = split_once(pair, b'=')?;
            (decode(key) == name).then(|| decode(value)).filter(|value| !value.is_empty())
        };
        self.query.iter().find_map(of).or_else(|| self.fragment.iter().find_map(of))
    }

    pub(super) fn brought_back(&self) -> Option<Back> {
        Back::of(&|name| self.parameter(name))
    }

    /// Without these parameters.
    pub(super) fn without(&self, names: &[&str]) -> String {
        let stays = |pair: &&&str| {
            let key = split_once(pair, b'=').map_or(**pair, |(key, _)| key);
            !names.contains(&decode(key).as_str())
        };
        let join = |pairs: &[&str]| pairs.iter().filter(stays).copied().collect::<Vec<_>>().join("&");
        let (query, fragment) = (join(&self.query), join(&self.fragment));
        let mut url = self.base.to_owned();
        for (mark, part) in [('?', query), ('#', fragment)] {
            if !part.is_empty() {
                url.push(mark);
                url.push_str(&part);
            }
        }
        url
    }
}

/// What a redirect brings back. (`pkg/lib/auth/auth.js` has the same.)
pub(super) const BROUGHT_BACK: [&str; 5] = ["code", "error", "error_code", "error_description", "sb"];

/// As forms encode it: `+` is a space.
fn decode(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

/// What is no escape stays as it is.
pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        let escaped = (byte == b'%').then(|| u8::from_str_radix(cut(text, at + 1, at + 3), 16).ok()).flatten();
        at += if escaped.is_some() { 3 } else { 1 };
        bytes.push(escaped.unwrap_or(byte));
    }
    lossy(&bytes).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        assert_eq!(verifier([[0; 16], [255; 16]]).len(), 43);
    }

    #[test]
    fn addresses_are_read_and_cleaned() {
        for (url, code, clean) in [
            ("https://a.b/", None, "https://a.b/"),
            ("https://a.b/?code=x", Some("x"), "https://a.b/"),
            ("https://a.b/p?q=1&code=a%2Bb+c&r=%C3%A9#top", Some("a+b c"), "https://a.b/p?q=1&r=%C3%A9#top"),
            ("https://a.b/#code=x&y=2", Some("x"), "https://a.b/#y=2"),
            ("https://a.b/?code=", None, "https://a.b/"),
            ("https://a.b/?c%6Fde=x&flag", Some("x"), "https://a.b/?flag"),
            ("https://a.b/?x=%zz%e9&decode=1", None, "https://a.b/?x=%zz%e9&decode=1"),
            ("?#", None, ""),
        ] {
            let address = Address::of(url);
            assert_eq!(address.parameter("code").as_deref(), code, "{url}");
            assert_eq!(address.without(&["code"]), clean, "{url}");
        }
        assert_eq!(Address::of("?x=%zz%e9%").parameter("x").unwrap(), "%zz\u{FFFD}%");
    }
}
