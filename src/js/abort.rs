//! A caller's `AbortSignal`: it is listened to, never handed on, because what it aborts with may be any value.

use std::rc::Rc;

use event_listener::Event;
use futures_util::future::{Either, select};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

use crate::client::transport::BoxFuture;
use crate::{Error, Reason};

/// Drops `operation`, and with it any request under way, as soon as the signal fires.
pub(super) async fn unless_aborted<T>(
    signal: Option<AbortSignal>,
    operation: BoxFuture<'static, Result<T, Error>>,
) -> Result<T, Error> {
    let Some(signal) = signal else { return operation.await };
    let aborted = || Error::new(Reason::Aborted, "the signal was aborted");
    if signal.aborted() {
        return Err(aborted());
    }
    let event = Rc::new(Event::new());
    let fired = event.listen();
    let _listening = Listening::new(signal, move || {
        event.notify(usize::MAX);
    });
    match select(operation, fired).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(aborted()),
    }
}

/// Removes the listener when dropped: a signal may outlive a thousand calls.
struct Listening {
    signal: AbortSignal,
    callback: Closure<dyn FnMut()>,
}

impl Listening {
    fn new(signal: AbortSignal, callback: impl FnMut() + 'static) -> Self {
        let callback = Closure::new(callback);
        // Fails only for something that is no EventTarget; then there is nothing to listen to.
        let _ = signal.add_event_listener_with_callback("abort", callback.as_ref().unchecked_ref());
        Self { signal, callback }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.signal.remove_event_listener_with_callback("abort", self.callback.as_ref().unchecked_ref());
    }
}
