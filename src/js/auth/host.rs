//! What JavaScript does for the sign-in while the module runs, and hears of it.

use std::cell::RefCell;
use std::fmt;

use wasm_bindgen::prelude::*;

use crate::auth::parts::Audience;
use crate::auth::{AuthEvent, AuthSession, Storage, StorageError};
use crate::engine::Id;
use crate::js::write::Json;

#[wasm_bindgen(js_namespace = host)]
extern "C" {
    /// `=` and the text; nothing if there is none; `!` if it cannot be read.
    fn read(face: Id, name: &str) -> String;
    /// Removes without a text. False if that cannot be.
    fn write(face: Id, name: &str, text: Option<&str>) -> bool;
}

thread_local! {
    /// What is to be done, as it is written by several.
    static OUT: RefCell<Json> = RefCell::default();
}

pub(super) fn out(write: impl FnOnce(&mut Json)) {
    OUT.with_borrow_mut(write);
}

pub(super) fn take_out() -> String {
    OUT.with_borrow_mut(Json::finish)
}

/// The application's storage.
pub(super) struct HostStorage(pub(super) Id);

impl Storage for HostStorage {
    fn get(&self, name: &str) -> Result<Option<String>, StorageError> {
        let mut text = read(self.0, name);
        match text.as_bytes().first() {
            None => Ok(None),
            Some(b'=') => Ok(Some(text.split_off(1))),
            Some(_) => Err(Box::new(Refused)),
        }
    }

    fn set(&self, name: &str, value: &str) -> Result<(), StorageError> {
        written(write(self.0, name, Some(value)))
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        written(write(self.0, name, None))
    }
}

fn written(is_written: bool) -> Result<(), StorageError> {
    if is_written { Ok(()) } else { Err(Box::new(Refused)) }
}

/// The session is in memory then; nobody is shown why.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// Listeners and tabs, which JavaScript knows.
pub(super) struct HostAudience;

impl Audience for HostAudience {
    fn told(&self, event: AuthEvent, session: Option<&AuthSession>) {
        out(|out| out.value("told", &[], Some(event.as_str()), session.map(AuthSession::json)));
    }

    fn broadcast(&self, event: AuthEvent, session: Option<&AuthSession>) {
        out(|out| out.value("tell", &[], Some(event.as_str()), session.map(AuthSession::json)));
    }
}
