//! The native client and the runtimes that it runs in: more than one, one that ends, and none.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use behest_client::client::{ChatRequest, Client, ClientBuilder, Outcome, Timeouts};
use behest_client::testing::{access_token, delta, finish};
use behest_client::{Reason, Secret};
use futures_util::stream::{StreamExt as _, iter, pending};
use tokio::runtime::Runtime;

use crate::test;

/// A gateway whose streams have these pieces, and after them an end or nothing; and a function that may be silent.
fn serve(pieces: Vec<String>, ends: bool, silent: &Arc<AtomicBool>) -> (Runtime, SocketAddr) {
    let runtime = Runtime::new().unwrap();
    let silent = silent.clone();
    let token = post(async move || {
        if silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        r#"{"token":"token-1","ttl":900,"sessionId":"session-1"}"#
    });
    let chat = post(async move || {
        let pieces = iter(pieces).map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let body = if ends { Body::from_stream(pieces) } else { Body::from_stream(pieces.chain(pending())) };
        ([(CONTENT_TYPE, "text/event-stream")], body)
    });
    let app = Router::new().route("/token", token).route("/v1/chat/completions", chat);
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, app).await });
    (runtime, address)
}

fn client(address: SocketAddr) -> ClientBuilder {
    let client = Client::builder(format!("http://{address}")).token_url(format!("http://{address}/token"));
    client.session(access_token("user-1", "login-1"))
}

/// Runs a future without any runtime.
fn run<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_stream_may_be_read_outside_the_runtime_it_was_opened_in() {
    let question = ChatRequest::user("Hi!");
    let (_server, address) = serve(vec![delta("Hel"), delta("lo"), finish("stop")], true, &Arc::default());
    let (runtime, client_here) = (Runtime::new().unwrap(), client(address).build().unwrap());
    let mut stream = runtime.block_on(client_here.chat_stream(&question)).unwrap();
    while run(stream.next()).is_some_and(|chunk| chunk.is_ok()) {}
    assert_eq!((stream.text(), stream.outcome()), ("Hello", Some(Outcome::Complete)));

    // Its limits count there, too.
    let (_server, address) = serve(vec![delta("Hel")], false, &Arc::default());
    let impatient = Timeouts::default().idle(Duration::from_millis(100));
    let client_here = client(address).timeouts(impatient).build().unwrap();
    let mut stream = runtime.block_on(client_here.chat_stream(&question)).unwrap();
    while run(stream.next()).is_some_and(|chunk| chunk.is_ok()) {}
    assert_eq!((stream.text(), stream.outcome()), ("Hel", Some(Outcome::Stalled)));
}

#[test]
fn a_runtime_that_ends_takes_its_own_calls_along_and_no_later_one() {
    let silent = Arc::new(AtomicBool::new(true));
    let (_server, address) = serve(vec![delta("Hello"), finish("stop")], true, &silent);
    let client = client(address).build().unwrap();
    let question = ChatRequest::user("Hi!");
    let runtime = Runtime::new().unwrap();
    let mut asking = pin!(client.chat_stream(&question));
    runtime.block_on(async {
        assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    drop(runtime);
    let error = run(asking).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidConfig, "{error}");
    assert!(error.message().contains("was shut down"), "{error}");

    silent.store(false, Ordering::SeqCst);
    let stream = Runtime::new().unwrap().block_on(client.chat_stream(&question));
    assert_eq!(stream.unwrap().outcome(), None);
}

#[test]
fn a_session_source_that_panics_is_told_apart_from_a_runtime_that_ends() {
    let client = Client::builder("http://127.0.0.1:9").token_url("http://127.0.0.1:9/token");
    let panics = || async { Ok(None::<Secret>.or_else(|| panic!("a defect of the application"))) };
    let client = client.session(panics).build().unwrap();
    let error = Runtime::new().unwrap().block_on(client.ask("Hi!")).unwrap_err();
    assert_eq!(error.reason(), Reason::Internal);
    assert!(error.message().ends_with("a panic") && error.hint().contains("standard error"), "{error}");
}

#[test]
fn a_runtime_that_nobody_drives_any_more_keeps_nobody_waiting() {
    let silent = Arc::new(AtomicBool::new(true));
    let (_server, address) = serve(vec![delta("Hello"), finish("stop")], true, &silent);
    let limits = Timeouts::default().token(Duration::from_millis(300));
    let client = client(address).timeouts(limits).build().unwrap();
    let question = ChatRequest::user("Hi!");
    // One for each thread, say, as code that is not asynchronous has it.
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (left, here) = (runtime(), runtime());
    left.block_on(async {
        let mut asking = pin!(client.chat_stream(&question));
        assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        tokio::task::yield_now().await;
    });
    silent.store(false, Ordering::SeqCst);
    // The limit of what was begun there counts here, and the next token is asked for here.
    let stream = loop {
        match here.block_on(client.chat_stream(&question)) {
            Ok(stream) => break stream,
            Err(error) => assert_eq!(error.reason(), Reason::Timeout, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(stream.outcome(), None);
    drop(left);
    assert_eq!(here.block_on(client.chat_stream(&question)).unwrap().outcome(), None);
}
