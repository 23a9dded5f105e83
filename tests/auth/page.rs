//! The page's own storage, channel and locks.

use std::cell::RefCell;
use std::rc::Rc;

use behest_client::auth::{AuthEvent, Scope, Subscription, Supabase};
use behest_client::client::transport::BrowserTransport;
use futures_util::future::join;
use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

/// Supabase Auth. Its tokens say how often the session was renewed.
const SERVER: &str = r#"
    return (async () => {
        const { refresh_token = "r0" } = JSON.parse((await request.text()) || "{}");
        globalThis.renewals ??= 0;
        if (request.url.includes("refresh_token")) globalThis.renewals += 1;
        if (request.url.includes("logout")) return new Response(null, { status: 204 });
        const next = Number(refresh_token.slice(1)) + 1;
        const expires_at = Math.floor(Date.now() / 1000) + 3600;
        const session = { access_token: "a" + next, refresh_token: "r" + next, expires_in: 3600, expires_at, user: { id: "u" } };
        return new Response(JSON.stringify(session), { headers: { "content-type": "application/json" } });
    })();
"#;

fn project(name: &str) -> Supabase {
    let fetch = Function::new_with_args("request", SERVER);
    let url = format!("https://{name}.example");
    Supabase::builder(url, "k").transport(BrowserTransport::with_fetch(fetch)).build().unwrap()
}

async fn js(code: &str) -> JsValue {
    let promise = Function::new_no_args(&format!("return (async () => {{ {code} }})()"));
    JsFuture::from(Promise::from(promise.call0(&JsValue::UNDEFINED).unwrap())).await.unwrap()
}

async fn number(code: &str) -> f64 {
    js(code).await.as_f64().unwrap()
}

fn listen(supabase: &Supabase) -> (Rc<RefCell<Vec<AuthEvent>>>, Subscription) {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let list = heard.clone();
    let subscription = supabase.on_change(move |event, _| list.borrow_mut().push(event));
    (heard, subscription)
}

/// Waits until so many events were heard, but not for ever.
async fn heard(list: &RefCell<Vec<AuthEvent>>, count: usize) -> Vec<AuthEvent> {
    for _ in 0..1000 {
        if list.borrow().len() >= count {
            break;
        }
        js("await new Promise((done) => setTimeout(done, 5))").await;
    }
    list.borrow().clone()
}

#[wasm_bindgen_test]
async fn libraries_of_one_page_hear_of_each_other() {
    let (one, two) = (project("hear"), project("hear"));
    let (list, _subscription) = listen(&two);
    one.sign_in_anonymously().await.unwrap();
    assert_eq!(heard(&list, 2).await[1], AuthEvent::SignedIn);
    assert_eq!(number("return JSON.parse(localStorage['sb-hear-auth-token']).refresh_token.length").await, 2.0);
    one.sign_out(Scope::Local).await.unwrap();
    assert_eq!(heard(&list, 3).await.last(), Some(&AuthEvent::SignedOut));
    assert!(js("return localStorage['sb-hear-auth-token']").await.is_undefined());
    // What supabase-js would do.
    js(r#"
        localStorage["sb-hear-auth-token"] = JSON.stringify({ access_token: "a", refresh_token: "r", expires_at: 9e9, user: { id: "v" } });
        new BroadcastChannel("sb-hear-auth-token").postMessage({ event: "SIGNED_IN", session: null });
    "#)
    .await;
    heard(&list, 4).await;
    assert_eq!(two.peek().unwrap().user().id, "v");
    js("localStorage.removeItem('sb-hear-auth-token')").await;
}

#[wasm_bindgen_test]
async fn others_hear_what_supabase_js_would_say() {
    js(r#"
        globalThis.said = new Promise((resolve) => {
            new BroadcastChannel("sb-say-auth-token").onmessage = ({ data }) => resolve(data);
        });
    "#)
    .await;
    let supabase = project("say");
    supabase.sign_in_anonymously().await.unwrap();
    let said =
        js("const { event, session } = await said; return [event, session.user.id, session.access_token].join()").await;
    assert_eq!(said.as_string().as_deref(), Some("SIGNED_IN,u,a1"));
    supabase.sign_out(Scope::Local).await.unwrap();
}

#[wasm_bindgen_test]
async fn tabs_wait_for_each_other() {
    let (one, two) = (project("wait"), project("wait"));
    // Of yesterday's visit.
    js(r#"
        const session = { access_token: "a1", refresh_token: "r1", expires_in: 3600, expires_at: 1e9, user: { id: "u" } };
        localStorage["sb-wait-auth-token"] = JSON.stringify(session);
    "#)
    .await;
    let before = number("return globalThis.renewals ?? 0").await;
    let (first, second) = join(one.session(), two.session()).await;
    assert_eq!(first.unwrap().unwrap(), second.unwrap().unwrap());
    assert_eq!(number("return globalThis.renewals").await - before, 1.0);
    // And the lock is free again.
    assert!(js("return navigator.locks.request('lock:sb-wait-auth-token', () => true)").await.is_truthy());
    one.sign_out(Scope::Local).await.unwrap();
}

#[wasm_bindgen_test]
async fn a_page_without_storage_or_locks_is_signed_in_all_the_same() {
    js(r#"
        globalThis.storage = Object.getOwnPropertyDescriptor(window, "localStorage");
        const refuse = { configurable: true, get() { throw new DOMException("denied", "SecurityError"); } };
        Object.defineProperty(window, "localStorage", refuse);
    "#)
    .await;
    let supabase = project("denied");
    supabase.sign_in_anonymously().await.unwrap();
    let renewed = supabase.refresh().await;
    js("Object.defineProperty(window, 'localStorage', storage)").await;
    assert_eq!(renewed.unwrap().refresh_token().expose(), "r2");
    assert!(js("return localStorage['sb-denied-auth-token']").await.is_undefined());

    js("Object.defineProperty(navigator, 'locks', { configurable: true, value: undefined })").await;
    let supabase = project("unlocked");
    supabase.sign_in_anonymously().await.unwrap();
    let renewed = supabase.refresh().await;
    js("delete navigator.locks").await;
    assert_eq!(renewed.unwrap().refresh_token().expose(), "r2");
    supabase.sign_out(Scope::Local).await.unwrap();
}
