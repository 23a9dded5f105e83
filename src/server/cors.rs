//! Which pages may read the answers.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use super::header;
use super::platform::parse_url;
use super::settings::Reader;
use super::url::Url;
use crate::text::digits;
use crate::wire::{EXPOSED_HEADERS, FUNCTION_REQUEST_HEADERS};

/// How long a browser may remember a preflight, in seconds: the most that Chromium keeps.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// What supabase-js adds to a call that takes part in a trace.
const TRACE_HEADERS: &str = "traceparent, tracestate, baggage";

/// The origins that may call, and with which methods.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
    methods: HeaderValue,
    headers: HeaderValue,
    /// The application answers for it.
    disabled: bool,
}

/// What a request's `Origin` header comes to.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// No browser page, or one that needs no permission: no `Origin` header.
    Absent,
    /// A page on the list.
    Listed(HeaderValue),
    /// A page that is not on the list, or an unreadable header.
    Unlisted,
}

impl Cors {
    pub(super) fn read(reader: &mut Reader<'_>, methods: &'static str) -> Option<Self> {
        let origins = reader.list("CORS_ORIGIN").unwrap_or_default();
        let origins = (1..).zip(&origins).map(|(number, entry)| exact(number, entry)).collect::<Result<_, _>>();
        let origins = reader.checked("CORS_ORIGIN", origins);
        let disabled = match reader.text("CORS") {
            None => false,
            Some("disabled") => true,
            Some(_) => {
                return reader.checked("CORS", Err("must be `disabled` or absent; pages are listed in CORS_ORIGIN"));
            }
        };
        let headers = HeaderValue::try_from([FUNCTION_REQUEST_HEADERS, ", ", TRACE_HEADERS].concat()).ok();
        Some(Self { origins: origins?, methods: HeaderValue::from_static(methods), headers: headers?, disabled })
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.disabled
    }

    pub(super) fn judge(&self, headers: &HeaderMap) -> Origin {
        if self.disabled {
            return Origin::Absent;
        }
        let Some(sent) = header::value(headers, &ORIGIN) else { return Origin::Absent };
        let listed = self.origins.iter().find(|listed| listed.as_bytes() == &*sent);
        listed.map_or(Origin::Unlisted, |listed| Origin::Listed(listed.clone()))
    }

    /// Adds what the page must see that sent `request`. Every answer goes through here, refusals and panics included.
    pub(super) fn permit(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.disabled {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("origin"));
        if let Origin::Listed(origin) = self.judge(request) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
    }

    /// Adds the answer to a preflight.
    pub(super) fn permit_preflight(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.permit(request, answer);
        if let Origin::Listed(_) = self.judge(request) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
}

/// The origin that is entry `number` of the list, exactly as browsers send it. What is wrong with one is told without it: it may
/// be a key that was pasted into the wrong setting.
fn exact(number: usize, entry: &str) -> Result<HeaderValue, String> {
    if entry.contains('*') {
        return Err("must not hold `*`: any page could then spend your users' allowance. List each origin".into());
    }
    let entry_is = |what: &str| ["is a list whose entry ", &digits(number as u64), what].concat();
    match parse_url(entry).and_then(origin) {
        Some(origin) if origin == entry => HeaderValue::try_from(origin).map_err(|_| entry_is(" is no origin")),
        Some(origin) => Err(entry_is(&[" browsers send as `", &origin, "`: write it so"].concat())),
        None => Err(entry_is(" is not an origin such as https://app.example.com")),
    }
}

/// What browsers send for pages at this address. The URL Standard has no origin for an app's own scheme (`tauri`, `capacitor`, that of
/// an extension), but web views send scheme and host.
fn origin(url: Url) -> Option<String> {
    if url.origin != "null" {
        return Some(url.origin);
    }
    let own = url.href.trim_end_matches('/');
    let (_, place) = own.split_once("://")?;
    let is_plain = !url.host.is_empty() && !url.has_login && !url.has_query && !place.contains('/');
    is_plain.then(|| own.to_owned())
}
