//! A streamed answer for JavaScript.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;

use super::{promise, trace};
use crate::client::RawStream;

/// A stream of JSON chunks. It is borrowed only while it is polled, so `abort` works during a pending `next`.
#[wasm_bindgen]
pub struct Stream(Rc<Shared>);

struct Shared {
    state: RefCell<State>,
    /// Set when `abort` comes from inside a poll, as from the `pull` of a caller's own body stream.
    abort_asked: Cell<bool>,
}

struct State {
    stream: RawStream,
    waiting: Option<Waker>,
}

impl Stream {
    pub(super) fn new(stream: RawStream) -> Self {
        let state = RefCell::new(State { stream, waiting: None });
        Self(Rc::new(Shared { state, abort_asked: Cell::new(false) }))
    }
}

#[wasm_bindgen]
impl Stream {
    /// The next chunk as JSON text; nothing at the end.
    pub fn next(&self) -> Promise {
        let shared = self.0.clone();
        promise(
            None,
            poll_fn(move |context| {
                let mut state = shared.state.borrow_mut();
                let polled = state.stream.poll_chunk(context);
                if shared.abort_asked.take() {
                    state.stream.abort();
                    return Poll::Ready(Ok(JsValue::UNDEFINED));
                }
                state.waiting = polled.is_pending().then(|| context.waker().clone());
                polled.map(|chunk| chunk.transpose().map(JsValue::from))
            }),
        )
    }

    /// Cancels the request.
    pub fn abort(&self) {
        let Ok(mut state) = self.0.state.try_borrow_mut() else {
            self.0.abort_asked.set(true);
            return;
        };
        state.stream.abort();
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// How it ended.
    #[wasm_bindgen(getter)]
    pub fn outcome(&self) -> Option<String> {
        self.0.state.borrow().stream.outcome().map(|outcome| outcome.as_str().to_owned())
    }

    /// What the call did and how long it took.
    #[wasm_bindgen(getter)]
    pub fn trace(&self) -> JsValue {
        trace(self.0.state.borrow().stream.trace())
    }

    /// `[id, name, arguments]` of each tool call so far.
    #[wasm_bindgen(getter, js_name = toolCalls)]
    pub fn tool_calls(&self) -> Array {
        let state = self.0.state.borrow();
        let calls = state.stream.tool_calls();
        calls.map(|call| Array::of3(&(&*call.id).into(), &(&*call.name).into(), &(&*call.arguments).into())).collect()
    }
}
