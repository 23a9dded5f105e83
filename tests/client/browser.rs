//! The transport of browsers, against fetch functions that behave as badly as real ones can.

use behest_client::client::transport::{BrowserTransport, Transport};
use behest_client::client::{ChatRequest, Client, Outcome};
use behest_client::{Error, Reason, Secret};
use futures_util::StreamExt;
use js_sys::{Function, Reflect};
use std::time::Duration;
use wasm_bindgen_test::wasm_bindgen_test;

/// A client whose `fetch` answers the token function, and hands every other request to this JavaScript.
fn client(gateway: &str) -> Client {
    let body = format!(
        r#"if (request.url.includes("/functions/")) return new Response('{{"token":"t","ttl":900,"sessionId":"s"}}');
           const bytes = (text) => new TextEncoder().encode(text);
           const sse = (start) => new Response(new ReadableStream({{ start }}), {{ headers: {{ "content-type": "text/event-stream", "x-trace-id": "trace-1" }} }});
           {gateway}"#
    );
    let fetch = Function::new_with_args("request", &format!("return (async () => {{ {body} }})();"));
    build(fetch)
}

fn build(fetch: Function) -> Client {
    Client::builder("https://gateway.example")
        .function("https://project.example", "behest-token")
        .session(Secret::from("opaque"))
        .transport(BrowserTransport::with_fetch(fetch))
        .max_retries(0)
        .build()
        .unwrap()
}

async fn read(client: &Client) -> (Option<Outcome>, String, Option<Error>) {
    let mut stream = client.chat_stream(&ChatRequest::user("Hi!")).await.unwrap();
    let mut error = None;
    while let Some(item) = stream.next().await {
        error = item.err();
    }
    (stream.outcome(), stream.text().to_owned(), error)
}

fn global(name: &str) -> wasm_bindgen::JsValue {
    Reflect::get(&js_sys::global(), &name.into()).unwrap()
}

#[wasm_bindgen_test]
async fn bytes_arrive_as_they_are_sent() {
    let client = client(
        r#"return sse((out) => {
             const all = bytes('data: {"choices":[{"index":0,"delta":{"content":"Grüße 👋"}}]}\n\ndata: [DONE]\n\n');
             for (let i = 0; i < all.length; i++) out.enqueue(all.slice(i, i + 1));
             out.close();
           });"#,
    );
    let (outcome, text, error) = read(&client).await;
    assert_eq!((outcome, text.as_str()), (Some(Outcome::Complete), "Grüße 👋"));
    assert!(error.is_none());
}

#[wasm_bindgen_test]
async fn whatever_fetch_rejects_with_is_a_network_error() {
    for reason in [
        "'text'",
        "undefined",
        "null",
        "42",
        "{}",
        "Symbol('s')",
        "new TypeError('Failed to fetch')",
        "new DOMException('x', 'AbortError')",
    ] {
        let error = client(&format!("throw {reason};")).ask("Hi!").await.unwrap_err();
        assert_eq!((error.reason(), error.status()), (Reason::Network, None), "{reason}");
    }
    let error = client("return 'no response';").ask("Hi!").await.unwrap_err();
    assert!(error.message().contains("did not resolve to a Response"), "{error}");
    let throws = build(Function::new_no_args("throw 'at once'"));
    assert_eq!(throws.ask("Hi!").await.unwrap_err().reason(), Reason::Network);
}

#[wasm_bindgen_test]
async fn whatever_breaks_the_body_is_a_disconnection_that_keeps_the_text() {
    let start = r#"return sse((out) => { out.enqueue(bytes('data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'));"#;
    for end in [
        "setTimeout(() => out.error('text'))",
        "setTimeout(() => out.error())",
        "setTimeout(() => out.error(new TypeError('Load failed')))",
        "out.enqueue('no bytes')",
    ] {
        let (outcome, text, error) = read(&client(&format!("{start} {end}; }});"))).await;
        assert_eq!((outcome, text.as_str()), (Some(Outcome::Disconnected), "Hi"), "{end}");
        assert_eq!(error.unwrap().trace_id(), Some("trace-1"));
    }
}

#[wasm_bindgen_test]
async fn a_reply_without_a_body_is_an_empty_one() {
    let error = client("return new Response(null, { status: 204 });").ask("Hi!").await.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidResponse);
}

#[wasm_bindgen_test]
async fn dropping_a_stream_or_a_call_aborts_the_fetch() {
    let open = r#"globalThis.streamSignal = request.signal; return sse((out) => out.enqueue(bytes(': hi\n\n')));"#;
    let stream = client(open).chat_stream(&ChatRequest::user("Hi!")).await.unwrap();
    let aborted = || Reflect::get(&global("streamSignal"), &"aborted".into()).unwrap().as_bool().unwrap();
    assert!(!aborted());
    drop(stream);
    assert!(aborted());

    let hang = client("globalThis.callSignal = request.signal; return new Promise(() => {});");
    let transport = BrowserTransport::default();
    {
        let call = Box::pin(hang.ask("Hi!"));
        let pause = transport.sleep(Duration::from_millis(50));
        assert!(matches!(futures_util::future::select(call, pause).await, futures_util::future::Either::Right(_)));
    }
    assert!(Reflect::get(&global("callSignal"), &"aborted".into()).unwrap().is_truthy());
}

#[wasm_bindgen_test]
async fn the_global_fetch_is_looked_up_at_each_call() {
    let client = build(Function::new_with_args("request", "return globalThis.fetch(request)"));
    let original = global("fetch");
    let mock = Function::new_no_args(
        "return Promise.resolve(new Response('{\"token\":\"t\",\"ttl\":900,\"sessionId\":\"mocked\"}'))",
    );
    Reflect::set(&js_sys::global(), &"fetch".into(), &mock).unwrap();
    let plain = Client::builder("https://gateway.example").function("https://project.example", "behest-token");
    let plain = plain.session(Secret::from("opaque")).build().unwrap();
    let warmed = (client.warm().await, plain.warm().await);
    Reflect::set(&js_sys::global(), &"fetch".into(), &original).unwrap();
    assert!(warmed.0.is_ok() && warmed.1.is_ok());
    assert_eq!(plain.session_id().as_deref(), Some("mocked"));
}

#[wasm_bindgen_test]
async fn clocks_timers_and_random_bytes_are_the_hosts() {
    let transport = BrowserTransport::default();
    let before = transport.now();
    transport.sleep(Duration::from_millis(20)).await;
    let passed = transport.now().since(before);
    assert!(passed >= Duration::from_millis(10), "{passed:?}");
    // 2026 or later: milliseconds were not taken for seconds.
    assert!(before.wall > Duration::from_secs(1_760_000_000) && before.wall < Duration::from_secs(10_000_000_000));
    assert_ne!(transport.random(), transport.random());
}
