//! A streamed answer for JavaScript.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Waker;

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;

use super::{promise, trace};
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

    /// What the call did and how long it took.
    #[wasm_bindgen(getter)]
    pub fn trace(&self) -> JsValue {
        trace(self.0.borrow().stream.trace())
    }

    /// `[id, name, arguments]` of each tool call so far.
    #[wasm_bindgen(getter, js_name = toolCalls)]
    pub fn tool_calls(&self) -> Array {
        let state = self.0.borrow();
        let calls = state.stream.tool_calls();
        calls.map(|call| Array::of3(&(&*call.id).into(), &(&*call.name).into(), &(&*call.arguments).into())).collect()
    }
}
