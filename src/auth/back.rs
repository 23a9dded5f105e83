//! The way back from a provider, or by a letter's link.

use super::reply::refused_in_address;
use crate::Error;

/// What a redirect brought back.
pub(crate) enum Back {
    Code(String),
    Refused(Error),
}

impl Back {
    /// By the parameters of the page's address.
    pub(crate) fn of(parameter: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        // `error` alone may be anybody's, and Supabase has none for every status.
        let code = parameter("error_code").or_else(|| parameter("error"));
        if let (Some(code), Some(description)) = (code, parameter("error_description")) {
            return Some(Self::Refused(refused_in_address(&code, &description)));
        }
        parameter("code").map(Self::Code)
    }
}
