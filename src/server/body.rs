//! Bodies of requests: how much of them is taken, and how long they may take. How they are read is up to the host.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::{Error, Reason};

/// How long a body may take to arrive.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Refuses a body that says itself that it is larger than `limit`.
pub(super) fn check_length(headers: &HeaderMap, limit: usize) -> Result<(), Error> {
    let stated = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match stated {
        Some(length) if length > limit as u64 => Err(too_large(limit)),
        _ => Ok(()),
    }
}

pub(super) fn too_large(limit: usize) -> Error {
    Error::new(Reason::PayloadTooLarge, format!("the request body is larger than {limit} bytes"))
}

pub(super) fn broken() -> Error {
    Error::new(Reason::InvalidRequest, "the request body broke off")
}

pub(super) fn late() -> Error {
    Error::new(Reason::Timeout, "the request body did not arrive in time")
}
