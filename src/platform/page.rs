//! What the tabs of one page share: its storage, its locks, its channels, and the address in the browser's bar. Each may be
//! missing or forbidden: in workers, in private windows, without HTTPS.

use std::future::Future;

use futures_util::future::{Either, select};
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, AbortSignal};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = localStorage, js_name = getItem, catch)]
    fn get_item(name: &str) -> Result<Option<String>, JsValue>;
    #[wasm_bindgen(js_namespace = localStorage, js_name = setItem, catch)]
    fn set_item(name: &str, value: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(js_namespace = localStorage, js_name = removeItem, catch)]
    fn remove_item(name: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(js_namespace = ["navigator", "locks"], js_name = request, catch)]
    fn request_lock(name: &str, options: &Object, granted: &JsValue) -> Result<Promise, JsValue>;

    type BroadcastChannel;
    #[wasm_bindgen(constructor, catch)]
    fn new(name: &str) -> Result<BroadcastChannel, JsValue>;
    #[wasm_bindgen(method, js_name = postMessage, catch)]
    fn post_message(this: &BroadcastChannel, message: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, setter)]
    fn set_onmessage(this: &BroadcastChannel, heard: Option<&Function>);
    #[wasm_bindgen(method)]
    fn close(this: &BroadcastChannel);

    #[wasm_bindgen(js_name = addEventListener, catch)]
    fn listen(kind: &str, heard: &Function) -> Result<(), JsValue>;
    #[wasm_bindgen(js_name = removeEventListener, catch)]
    fn unlisten(kind: &str, heard: &Function) -> Result<(), JsValue>;

    #[wasm_bindgen(js_namespace = history, js_name = replaceState, catch)]
    fn replace_state(state: &JsValue, unused: &str, url: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(js_namespace = JSON, js_name = parse, catch)]
    fn parse(json: &str) -> Result<JsValue, JsValue>;
}

/// Can it be read and written?
pub(crate) fn has_storage() -> bool {
    const PROBE: &str = "behest-client-probe";
    set_item(PROBE, "").and_then(|()| remove_item(PROBE)).is_ok()
}

pub(crate) fn stored(name: &str) -> Result<Option<String>, String> {
    get_item(name).map_err(words)
}

pub(crate) fn store(name: &str, value: &str) -> Result<(), String> {
    set_item(name, value).map_err(words)
}

pub(crate) fn remove(name: &str) -> Result<(), String> {
    remove_item(name).map_err(words)
}

fn words(thrown: JsValue) -> String {
    super::web::words(&thrown).unwrap_or_else(|| "localStorage failed".to_owned())
}

/// A lock that only one tab of the page holds. Dropped, it is free.
pub(crate) struct Lock {
    release: Function,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

/// Waits for the lock until `limit` is over; `None` then, and where there are no locks.
pub(crate) async fn lock(name: &str, limit: impl Future<Output = ()> + Unpin) -> Option<Lock> {
    let controller = AbortController::new().ok()?;
    let (held, release) = settled_later()?;
    let (granted, grant) = settled_later()?;
    let lock = Lock { release };
    let refuse = grant.clone();
    let callback = Closure::once_into_js(move |_lock: JsValue| {
        let _ = grant.call1(&JsValue::UNDEFINED, &JsValue::TRUE);
        held
    });
    let options = Object::new();
    let signal: AbortSignal = controller.signal();
    Reflect::set(&options, &"signal".into(), &signal).ok()?;
    let request = request_lock(name, &options, &callback).ok()?;
    spawn_local(async move {
        // Rejected when it is aborted, and when another tab steals the lock.
        if JsFuture::from(request).await.is_err() {
            let _ = refuse.call1(&JsValue::UNDEFINED, &JsValue::FALSE);
        }
    });
    match select(JsFuture::from(granted), limit).await {
        Either::Left((answer, _)) => answer.is_ok_and(|answer| answer.is_truthy()).then_some(lock),
        Either::Right(_) => {
            controller.abort();
            None
        }
    }
}

/// A promise, and what resolves it.
fn settled_later() -> Option<(Promise, Function)> {
    let mut resolve = None;
    let promise = Promise::new(&mut |resolves, _| resolve = Some(resolves));
    Some((promise, resolve?))
}

/// What the tabs of a page, and libraries in one tab, tell each other of a session: supabase-js's own channel.
pub(crate) struct Channel {
    channel: BroadcastChannel,
    heard: Closure<dyn Fn()>,
}

impl Channel {
    /// `heard` is called for every message of others, and when something of theirs has arrived in this tab's storage, which
    /// may be later. `None` where there are no channels.
    pub(crate) fn open(name: &str, heard: impl Fn() + 'static) -> Option<Self> {
        let channel = BroadcastChannel::new(name).ok()?;
        let heard = Closure::new(heard);
        let function: &Function = heard.as_ref().unchecked_ref();
        channel.set_onmessage(Some(function));
        let _ = listen("storage", function);
        Some(Self { channel, heard })
    }

    /// A message as supabase-js sends it and takes it.
    pub(crate) fn tell(&self, event: &str, session: Option<&str>) {
        let session = session.and_then(|json| parse(json).ok()).unwrap_or(JsValue::NULL);
        let message = Object::new();
        let set = |name: &str, value: &JsValue| Reflect::set(&message, &name.into(), value).is_ok();
        if set("event", &event.into()) && set("session", &session) {
            // A page that is being closed has no channel any more.
            let _ = self.channel.post_message(&message);
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        let _ = unlisten("storage", self.heard.as_ref().unchecked_ref());
        self.channel.close();
    }
}

/// The address in the browser's bar.
pub(crate) fn address() -> Option<String> {
    let location = Reflect::get(&js_sys::global(), &"location".into()).ok()?;
    Reflect::get(&location, &"href".into()).ok()?.as_string()
}

/// Puts another one there, without loading it.
pub(crate) fn replace_address(url: &str) {
    let history = Reflect::get(&js_sys::global(), &"history".into()).ok();
    let state = history.and_then(|history| Reflect::get(&history, &"state".into()).ok()).unwrap_or(JsValue::NULL);
    let _ = replace_state(&state, "", url);
}
