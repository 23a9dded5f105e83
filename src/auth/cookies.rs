//! The session in cookies, as `@supabase/ssr` writes and reads them: a page and the server that renders it know the same user.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pkce::percent_decode;
use super::storage::{Storage, StorageError};
use crate::base64::{decode_url, encode_url};
use crate::text::{digits, split_once};

/// What stands before a value in base64url.
const ENCODED: &str = "base64-";
/// The longest value of one cookie; a longer one goes into several, `<name>.0`, `<name>.1`, …
const LONGEST: usize = 3180;
/// As long as browsers keep a cookie.
const STAYS: &str = "; Path=/; Max-Age=34560000; SameSite=Lax";
const GOES: &str = "; Path=/; Max-Age=0; SameSite=Lax";

/// The cookies of one request, as `@supabase/ssr` has them: on a server, whoever is signed in in the browser is signed in for the
/// request. Clones are the same cookies.
///
/// ```
/// use behest_client::auth::{CookieStorage, Supabase};
/// use behest_client::client::transport::DefaultTransport;
///
/// // One for all requests: making it reads the system's certificates.
/// # async fn answer(cookie_header: &str, transport: &DefaultTransport) -> Result<(), behest_client::Error> {
/// let cookies = CookieStorage::of_request(cookie_header);
/// let supabase = Supabase::builder("https://abc.supabase.co", "sb_publishable_…").storage(cookies.clone());
/// let supabase = supabase.transport(transport.clone()).build()?;
/// let user = supabase.session().await?.map(|session| session.user().id.clone());
/// for header in cookies.set_cookie_headers() {
///     // Append `Set-Cookie: {header}` to the response: the session was renewed.
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct CookieStorage(Arc<Mutex<Jar>>);

#[derive(Default)]
struct Jar {
    cookies: Vec<(String, String)>,
    changed: Vec<String>,
}

impl CookieStorage {
    /// Those of a request, by the value of its `Cookie` header: empty, if it has none.
    pub fn of_request(header: &str) -> Self {
        Self(Arc::new(Mutex::new(Jar { cookies: cookies(header), changed: Vec::new() })))
    }

    /// The values of the `Set-Cookie` headers of the response, one for each cookie that has changed since this was asked
    /// last. A response with one of them is for this user alone: send `Cache-Control: private, no-store` along.
    pub fn set_cookie_headers(&self) -> Vec<String> {
        let mut jar = self.jar();
        let changed = std::mem::take(&mut jar.changed);
        let header = |name: &String| {
            let cookie = jar.cookies.iter().find(|(cookie, _)| cookie == name);
            match cookie {
                Some((_, value)) => [name, "=", value, STAYS].concat(),
                None => [name, "=", GOES].concat(),
            }
        };
        changed.iter().map(header).collect()
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for CookieStorage {
    fn get(&self, name: &str) -> Result<Option<String>, StorageError> {
        Ok(value_of(name, &self.jar().cookies))
    }

    fn set(&self, name: &str, value: &str) -> Result<(), StorageError> {
        self.jar().put(name, Some(value));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.jar().put(name, None);
        Ok(())
    }
}

impl Jar {
    fn put(&mut self, name: &str, value: Option<&str>) {
        for (cookie, value) in changes(name, value, &self.cookies) {
            self.cookies.retain(|(known, _)| *known != cookie);
            if !self.changed.contains(&cookie) {
                self.changed.push(cookie.clone());
            }
            self.cookies.extend(value.map(|value| (cookie, value)));
        }
    }
}

/// No value is shown: they hold tokens.
impl fmt::Debug for CookieStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.jar().cookies.iter().map(|(name, _)| name)).finish()
    }
}

/// Names and values of a `Cookie` header. Of two cookies with one name, the first one counts.
fn cookies(header: &str) -> Vec<(String, String)> {
    let mut cookies: Vec<(String, String)> = Vec::new();
    for pair in header.split(';') {
        let Some((name, value)) = split_once(pair.trim_ascii(), b'=') else { continue };
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        if cookies.iter().all(|(known, _)| known != name) {
            cookies.push((name.to_owned(), percent_decode(bare)));
        }
    }
    cookies
}

/// The cookies that are set, and those that go, so that this value is stored under this name, or none.
fn changes(name: &str, value: Option<&str>, cookies: &[(String, String)]) -> Vec<(String, Option<String>)> {
    let new = value.map(|value| pieces(name, value)).unwrap_or_default();
    let is_new = |cookie: &str| new.iter().any(|(known, _)| known == cookie);
    let gone = cookies.iter().filter(|(cookie, _)| holds(cookie, name) && !is_new(cookie));
    let mut changes: Vec<_> = gone.map(|(cookie, _)| (cookie.clone(), None)).collect();
    changes.extend(new.into_iter().map(|(cookie, value)| (cookie, Some(value))));
    changes
}

/// What is stored under a name, in one cookie or in pieces up to the first that is missing.
fn value_of(name: &str, cookies: &[(String, String)]) -> Option<String> {
    let whole = match cookie(name, cookies) {
        Some(whole) => whole.to_owned(),
        None => (0..).map_while(|number| cookie(&piece_name(name, number), cookies)).collect(),
    };
    match whole.strip_prefix(ENCODED) {
        Some(encoded) => String::from_utf8(decode_url(encoded)?).ok(),
        None => Some(whole).filter(|whole| !whole.is_empty()),
    }
}

fn cookie<'a>(name: &str, cookies: &'a [(String, String)]) -> Option<&'a str> {
    let (_, value) = cookies.iter().find(|(cookie, value)| cookie == name && !value.is_empty())?;
    Some(value)
}

/// The cookies that a value is stored in.
fn pieces(name: &str, value: &str) -> Vec<(String, String)> {
    let encoded = [ENCODED, &encode_url(value.as_bytes())].concat();
    if encoded.len() <= LONGEST {
        return vec![(name.to_owned(), encoded)];
    }
    // All of it is ASCII.
    let piece = |(number, bytes): (u64, &[u8])| (piece_name(name, number), String::from_utf8_lossy(bytes).into_owned());
    (0..).zip(encoded.as_bytes().chunks(LONGEST)).map(piece).collect()
}

fn piece_name(name: &str, number: u64) -> String {
    [name, ".", &digits(number)].concat()
}

/// Does a cookie of this name hold the value, or a piece of it?
fn holds(cookie: &str, name: &str) -> bool {
    let Some(rest) = cookie.strip_prefix(name) else { return false };
    let number = rest.strip_prefix('.').unwrap_or_default();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    rest.is_empty() || (is_number && (number == "0" || !number.starts_with('0')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const NAME: &str = "sb-abc-auth-token";

    fn encoded(value: &str) -> String {
        format!("{ENCODED}{}", encode_url(value.as_bytes()))
    }

    #[test]
    fn what_supabase_ssr_wrote_is_read() {
        let long = "é{\"a\":1}".repeat(900);
        let whole = encoded(&long);
        let (first, rest) = whole.split_at(3180);
        let (second, third) = rest.split_at(3180);
        for (header, expected) in [
            (format!("{NAME}={}", encoded("{}")), Some("{}")),
            (format!("a=b; {NAME}={}; c", encoded("{}")), Some("{}")),
            (format!("{NAME}.1={second}; {NAME}.2={third}; {NAME}.0={first}"), Some(long.as_str())),
            // Without its encoding, as older versions and `cookieEncoding: "raw"` write it.
            (format!("{NAME}=%7B%22a%22%3A%22%C3%A9%2B+%22%7D"), Some("{\"a\":\"é++\"}")),
            (format!("{NAME}=\"{{}}\""), Some("{}")),
            // One in pieces is older, if there is a whole one.
            (format!("{NAME}.0=x; {NAME}={}", encoded("{}")), Some("{}")),
            (format!("{NAME}=; {NAME}.0={}", encoded("{}")), Some("{}")),
            (format!("{NAME}={}; {NAME}=x", encoded("{}")), Some("{}")),
            // Of two generations.
            (format!("{NAME}.0={first}; {NAME}.1=~"), None),
            (format!("{NAME}.1={second}"), None),
            (format!("{NAME}={ENCODED}_w"), None),
            (format!("{NAME}-user=x; x{NAME}=y"), None),
            (String::new(), None),
        ] {
            let storage = CookieStorage::of_request(&header);
            assert_eq!(storage.get(NAME).unwrap().as_deref(), expected, "{header}");
            assert!(storage.set_cookie_headers().is_empty());
        }
    }

    #[test]
    fn what_is_written_is_what_supabase_ssr_writes() {
        let storage = CookieStorage::of_request(&format!("{NAME}=x; other=1"));
        let long = "x".repeat(6000);
        storage.set(NAME, &long).unwrap();
        assert_eq!(storage.get(NAME).unwrap().as_deref(), Some(long.as_str()));
        let headers = storage.set_cookie_headers();
        let names: Vec<_> = headers.iter().map(|header| header.split('=').next().unwrap()).collect();
        assert_eq!(names, [NAME, &format!("{NAME}.0"), &format!("{NAME}.1"), &format!("{NAME}.2")]);
        assert_eq!(headers[0], format!("{NAME}=; Path=/; Max-Age=0; SameSite=Lax"));
        assert!(headers[1].len() == NAME.len() + 3 + 3180 + STAYS.len() && headers[1].ends_with(STAYS));
        storage.set(NAME, "{}").unwrap();
        let again = storage.set_cookie_headers();
        assert_eq!(again.len(), 4, "the pieces go: {again:?}");
        assert!(again.contains(&format!("{NAME}={}{STAYS}", encoded("{}"))));
        storage.remove(NAME).unwrap();
        assert_eq!(storage.get(NAME).unwrap(), None);
        assert_eq!(storage.set_cookie_headers(), [format!("{NAME}={GOES}")]);
        assert!(storage.set_cookie_headers().is_empty(), "each change is told once");
    }

    #[test]
    fn only_a_value_and_its_pieces_are_touched() {
        for (cookie, is_held) in [
            ("n", true),
            ("n.0", true),
            ("n.12", true),
            ("n.01", false),
            ("n.", false),
            ("n.x", false),
            ("n-user", false),
        ] {
            assert_eq!(holds(cookie, "n"), is_held, "{cookie}");
        }
        let shown = format!("{:?}", CookieStorage::of_request("n=secret"));
        assert_eq!(shown, "[\"n\"]");
    }
}
