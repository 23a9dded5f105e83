//! What JavaScript does for the sign-in while the module runs, and hears of it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use wasm_bindgen::prelude::*;

use crate::auth::parts::{Held, Tabs};
use crate::auth::{Storage, StorageError};
use crate::engine::Id;
use crate::js::write::Json;
use crate::platform::BoxFuture;

#[wasm_bindgen(js_namespace = host)]
extern "C" {
    /// `=` and the text; nothing if there is none; `!` if it cannot be read.
    fn read(face: Id, name: &str) -> String;
    /// Removes without a text. False if that cannot be.
    fn write(face: Id, name: &str, text: Option<&str>) -> bool;
    /// Fills it with random bytes.
    fn random(bytes: &mut [u8]);
}

pub(super) fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    random(&mut bytes);
    bytes
}

/// What is to be done, as it is written by several.
#[derive(Clone, Default)]
pub(super) struct Out(Rc<RefCell<Json>>);

impl Out {
    pub(super) fn write(&self, write: impl FnOnce(&mut Json)) {
        write(&mut self.0.borrow_mut());
    }

    pub(super) fn take(&self) -> String {
        self.0.borrow_mut().finish()
    }
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

/// The channel. The lock is an action of its own: see `Face::want`.
pub(super) struct HostTabs(pub(super) Out);

impl Tabs for HostTabs {
    fn tell(&self, event: &str, session: Option<&str>) {
        self.0.write(|out| out.value("tell", &[], Some(event), session));
    }

    fn lock(&self, _: String, _: BoxFuture<'static, ()>) -> BoxFuture<'static, Option<Box<dyn Held>>> {
        Box::pin(std::future::ready(None))
    }
}
