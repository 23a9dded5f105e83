//! What a page has and a native program has not: see `page.rs`.

use std::future::Future;

use super::thread::{MaybeSend, MaybeSync};

pub(crate) fn has_storage() -> bool {
    false
}

pub(crate) fn stored(_name: &str) -> Result<Option<String>, String> {
    Err("there is no localStorage".to_owned())
}

pub(crate) fn store(_name: &str, _value: &str) -> Result<(), String> {
    Err("there is no localStorage".to_owned())
}

pub(crate) fn remove(_name: &str) -> Result<(), String> {
    Err("there is no localStorage".to_owned())
}

pub(crate) enum Lock {}

pub(crate) fn lock(_name: &str, _limit: impl Future<Output = ()> + Unpin) -> impl Future<Output = Option<Lock>> {
    std::future::ready(None)
}

pub(crate) enum Channel {}

impl Channel {
    pub(crate) fn open(_name: &str, _heard: impl Fn() + MaybeSend + MaybeSync + 'static) -> Option<Self> {
        None
    }

    pub(crate) fn tell(&self, _event: &str, _session: Option<&str>) {
        match *self {}
    }
}

pub(crate) fn address() -> Option<String> {
    None
}

pub(crate) fn replace_address(_url: &str) {}
