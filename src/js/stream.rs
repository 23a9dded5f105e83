//! A streamed answer for JavaScript.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Waker;

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::promise;
use crate::client::RawStream;

/// A stream of JSON chunks. It is borrowed only while it is polled, so `abort` works during a pending `next`.
#[wasm_bindgen]
pub struct Stream(Rc<RefCell<State>>);

struct State {
    stream: RawStream,
    waiting: Option<Waker>,
}

impl Stream {
    pub(super) fn new(stream: RawStream) -> Self {
        Self(Rc::new(RefCell::new(State { stream, waiting: None })))
    }
}

#[wasm_bindgen]
impl Stream {
    /// The next chunk as JSON text; nothing at the end.
    pub fn next(&self) -> Promise {
        let state = self.0.clone();
        promise(
            None,
            poll_fn(move |context| {
                let mut state = state.borrow_mut();
                let polled = state.stream.poll_chunk(context);
                state.waiting = polled.is_pending().then(|| context.waker().clone());
                polled.map(|chunk| chunk.transpose().map(JsValue::from))
            }),
        )
    }

    /// Cancels the request.
    pub fn abort(&self) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.stream.abort();
            state.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// How it ended.
    #[wasm_bindgen(getter)]
    pub fn outcome(&self) -> Option<String> {
        self.0.borrow().stream.outcome().map(|outcome| outcome.as_str().to_owned())
    }

    /// The session it is attributed to.
    #[wasm_bindgen(getter, js_name = sessionId)]
    pub fn session_id(&self) -> String {
        self.0.borrow().stream.session_id().to_owned()
    }

    /// The gateway's id of this call.
    #[wasm_bindgen(getter, js_name = traceId)]
    pub fn trace_id(&self) -> Option<String> {
        self.0.borrow().stream.trace_id().map(str::to_owned)
    }
}
