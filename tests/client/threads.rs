//! The native client on several threads: whoever carries out what the engine says, nothing of an answer is lost.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use behest_client::Secret;
use behest_client::client::transport::{Body, BoxFuture, Failure, NativeTransport, Now, Request, Response, Transport};
use behest_client::client::{ChatRequest, Client, Outcome, Session, SessionSource as _};
use futures_util::{StreamExt as _, stream};

/// So often that each order of the threads' steps is met.
const STREAMS: usize = 20_000;
const TOGETHER: usize = 64;
const ANSWER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: [DONE]\n\n";

/// Servers that answer at once.
struct AtOnce(NativeTransport);

struct Pieces(std::vec::IntoIter<&'static str>);

impl Body for Pieces {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Failure>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(piece.as_bytes().to_vec())))
    }
}

impl Transport for AtOnce {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let (kind, body) = match request.url.ends_with("/token") {
            true => ("application/json", r#"{"token":"t","ttl":900}"#),
            false => ("text/event-stream", ANSWER),
        };
        Box::pin(async move {
            // Each of them on whichever thread is free.
            tokio::task::yield_now().await;
            let headers = vec![("content-type", kind.to_owned())];
            Ok(Response { status: 200, headers, body: Box::new(Pieces(vec![body].into_iter())) })
        })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(time)
    }

    fn now(&self) -> Now {
        self.0.now()
    }

    fn random(&self) -> [u8; 16] {
        self.0.random()
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.0.spawn(future);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_stream_is_whole() {
    let client = Client::builder("https://gateway.example")
        .token_url("https://project.example/token")
        .session(Secret::new("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln".to_owned()))
        .transport(AtOnce(NativeTransport::default()))
        .build()
        .unwrap();
    let ask = |_| {
        let client = client.clone();
        async move {
            let asked = tokio::spawn(async move {
                let mut stream = client.chat_stream(&ChatRequest::user("Hi!")).await.unwrap();
                while let Some(chunk) = stream.next().await {
                    chunk.unwrap();
                }
                (stream.outcome(), stream.text().to_owned())
            });
            asked.await.unwrap()
        }
    };
    let ends = stream::iter(0..STREAMS).map(ask).buffer_unordered(TOGETHER).collect::<Vec<_>>().await;
    let broken = ends.iter().filter(|(outcome, text)| *outcome != Some(Outcome::Complete) || text != "Hello").count();
    assert_eq!((ends.len(), broken), (STREAMS, 0));
}

#[test]
fn what_is_set_last_is_told_last_whoever_is_quicker() {
    let session = Session::new();
    let meanwhile = Mutex::new(Some(session.clone()));
    session.watch(Box::new(move |_| {
        // Before the other watcher is told of the first user, another thread signs out.
        let Some(session) = meanwhile.lock().unwrap().take() else { return };
        std::thread::spawn(move || session.set(None)).join().unwrap();
    }));
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = told.clone();
    session.watch(Box::new(move |token| list.lock().unwrap().push(token.is_some())));
    session.set(Some("a-token".into()));
    assert_eq!(told.lock().unwrap().last(), Some(&false), "{told:?}");
}
