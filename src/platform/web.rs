//! Browsers, workers and other JavaScript hosts: gloo-net over the Fetch API.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use gloo_net::http::Response as FetchResponse;
use gloo_timers::callback::Timeout;
use js_sys::{Date, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, ReadableStreamDefaultReader, RequestInit, RequestRedirect};

use super::thread::BoxFuture;
use super::transport::{Body, Failure, Now, READ_HEADERS, Request, Response, Transport};
use crate::Reason;
use crate::wire::{millis, timer_millis};

#[wasm_bindgen]
extern "C" {
    /// Bound as a global, looked up at each call: there in windows and workers alike, and replaced by mocks.
    #[wasm_bindgen(js_name = fetch, catch)]
    fn global_fetch(request: &web_sys::Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;

    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn fill_random(bytes: &Uint8Array);

    /// The value of a JSON number, to the last bit. (Rust's own parser and writer are 20 kB of tables and code.)
    #[wasm_bindgen(js_name = parseFloat)]
    pub(crate) fn number_of(text: &str) -> f64;

    /// A finite number in JSON.
    #[wasm_bindgen(js_namespace = JSON, js_name = stringify)]
    pub(crate) fn number_text(number: f64) -> String;
}

/// [`Transport`] over `fetch`.
#[derive(Clone, Debug, Default)]
pub struct BrowserTransport {
    fetch: Option<Function>,
}

impl BrowserTransport {
    /// A transport that calls `fetch(request)` instead of the global one.
    pub fn with_fetch(fetch: Function) -> Self {
        Self { fetch: Some(fetch) }
    }
}

impl Transport for BrowserTransport {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let fetch = self.fetch.clone();
        Box::pin(async move {
            let controller = AbortController::new().map_err(failure)?;
            let request = to_fetch(&request, &controller).map_err(failure)?;
            let guard = AbortGuard(Some(controller));
            let promise = match fetch {
                Some(fetch) => fetch.call1(&JsValue::UNDEFINED, &request).map(|value| Promise::resolve(&value)),
                None => global_fetch(&request),
            };
            // Awaited here, not inside gloo-net, which traps when the rejection is not an Error.
            let response = JsFuture::from(promise.map_err(failure)?).await.map_err(failure)?;
            let response: web_sys::Response =
                response.dyn_into().map_err(|_| Failure::no_response("fetch did not resolve to a Response"))?;
            let response = FetchResponse::from(response);
            let headers = response.headers();
            let headers = READ_HEADERS.iter().filter_map(|name| Some((*name, headers.get(name)?))).collect();
            let body = BrowserBody { reader: reader(&response)?, read: None, guard };
            Ok(Response { status: response.status(), headers, body: Box::new(body) })
        })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let state = Rc::new(TimerState::default());
        let alarm = state.clone();
        let timeout = Timeout::new(timer_millis(time), move || {
            alarm.fired.set(true);
            alarm.waker.take().into_iter().for_each(Waker::wake);
        });
        Box::pin(Timer { state, _timeout: timeout })
    }

    fn now(&self) -> Now {
        Now { wall: millis(Date::now()), monotonic: millis(performance_now()) }
    }

    fn random(&self) -> [u8; 16] {
        random()
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        wasm_bindgen_futures::spawn_local(future);
    }
}

/// A timer, which its drop stops. (gloo's own is a channel, of which one word is needed.)
struct Timer {
    state: Rc<TimerState>,
    _timeout: Timeout,
}

#[derive(Default)]
struct TimerState {
    fired: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.state.waker.set(Some(context.waker().clone()));
        if self.state.fired.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Whether it takes an address, `fetch` says at the first request.
pub(crate) fn is_url(_text: &str) -> bool {
    true
}

/// Why a future that was to go on by itself was dropped, and what to do, if it is known.
pub(crate) fn why_dropped() -> Option<(Reason, &'static str, &'static str)> {
    None
}

/// What is missing here, if nothing can run.
#[cfg(feature = "auth")]
pub(crate) fn nothing_runs_here() -> Option<(&'static str, &'static str)> {
    None
}

/// Random bytes fit for ids.
pub(crate) fn random() -> [u8; 16] {
    // Through an array of JavaScript's: optimised code does not notice what is written to a slice behind its back.
    let array = Uint8Array::new_with_length(16);
    fill_random(&array);
    let mut bytes = [0; 16];
    array.copy_to(&mut bytes);
    bytes
}

/// A date in any form that the host reads, in milliseconds since the Unix epoch.
pub(crate) fn http_date(text: &str) -> Option<f64> {
    Some(Date::parse(text)).filter(|millis| millis.is_finite())
}

/// Cancels the fetch when dropped. It moves into the body, so that dropping a stream cancels it too.
struct AbortGuard(Option<AbortController>);

impl Drop for AbortGuard {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

fn to_fetch(request: &Request, controller: &AbortController) -> Result<web_sys::Request, JsValue> {
    let init = RequestInit::new();
    init.set_method(request.method);
    init.set_signal(Some(&controller.signal()));
    // Prompt and token go where they were addressed to, and nowhere else.
    init.set_redirect(RequestRedirect::Manual);
    if let Some(body) = &request.body {
        init.set_body(&body.into());
    }
    let built = web_sys::Request::new_with_str_and_init(&request.url, &init)?;
    let headers = built.headers();
    for (name, value) in &request.headers {
        headers.set(name, value)?;
    }
    Ok(built)
}

fn reader(response: &FetchResponse) -> Result<Option<ReadableStreamDefaultReader>, Failure> {
    let Some(stream) = response.body() else { return Ok(None) };
    let locked = |_| Failure::no_response("the body of the response is locked, or was read already");
    let reader = ReadableStreamDefaultReader::new(&stream).map_err(locked)?;
    Ok(Some(reader))
}

struct BrowserBody {
    reader: Option<ReadableStreamDefaultReader>,
    read: Option<JsFuture>,
    guard: AbortGuard,
}

impl BrowserBody {
    /// The body is whole: there is nothing left to cancel.
    fn disarm(&mut self) {
        self.guard.0 = None;
    }
}

impl Body for BrowserBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Failure>>> {
        let Some(reader) = &self.reader else {
            self.disarm();
            return Poll::Ready(None);
        };
        let read = self.read.get_or_insert_with(|| JsFuture::from(reader.read()));
        let result = ready!(Pin::new(read).poll(context));
        self.read = None;
        let chunk = result.map_err(failure).and_then(|result| chunk(&result));
        if let Ok(None) = chunk {
            self.disarm();
        }
        Poll::Ready(chunk.transpose())
    }
}

/// `{ done, value }` of a reader.
fn chunk(result: &JsValue) -> Result<Option<Vec<u8>>, Failure> {
    let field = |name: &str| Reflect::get(result, &name.into()).map_err(failure);
    if field("done")?.is_truthy() {
        return Ok(None);
    }
    let bytes = field("value")?.dyn_into::<Uint8Array>();
    Ok(Some(bytes.map_err(|_| Failure::no_response("the body is not a stream of bytes"))?.to_vec()))
}

/// Whatever was thrown, in words. A `message` that is no string is as foreign as a thing that is no Error.
pub(super) fn words(thrown: &JsValue) -> Option<String> {
    let message = Reflect::get(thrown, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| thrown.as_string())
}

fn failure(value: JsValue) -> Failure {
    Failure::new(words(&value).unwrap_or_else(|| "the host gave no reason".to_owned()))
}
