//! Other servers, as a table from path to answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use behest_client::server::{HttpClient, HttpError, Limits};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use serde_json::Value;
use tokio::sync::Semaphore;

pub(crate) type Answer = Result<Response<Bytes>, HttpError>;
type Handler = Arc<dyn Fn(&Request<Bytes>) -> Answer + Send + Sync>;

/// Records what is asked and answers as told.
#[derive(Default)]
pub(crate) struct Fake {
    routes: Mutex<HashMap<String, Handler>>,
    calls: Mutex<Vec<Request<Bytes>>>,
    gate: Mutex<Option<Arc<Semaphore>>>,
}

pub(crate) fn answer(status: u16, body: Value) -> Answer {
    Ok(Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap())
}

impl Fake {
    pub(crate) fn on(&self, path: &str, handler: impl Fn(&Request<Bytes>) -> Answer + Send + Sync + 'static) {
        self.routes.lock().unwrap().insert(path.to_owned(), Arc::new(handler));
    }

    /// No call is answered before the returned gate gives a permit.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    pub(crate) fn calls(&self, path: &str) -> Vec<Request<Bytes>> {
        self.calls.lock().unwrap().iter().filter(|call| call.uri().path() == path).map(copy).collect()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.calls(path).len()
    }

    pub(crate) fn all(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

fn copy(call: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::builder().method(call.method()).uri(call.uri()).body(call.body().clone()).unwrap();
    *copy.headers_mut() = call.headers().clone();
    copy
}

impl HttpClient for Fake {
    fn send(&self, request: Request<Bytes>, _: Limits) -> BoxFuture<'static, Answer> {
        let handler = self.routes.lock().unwrap().get(request.uri().path()).cloned();
        let gate = self.gate.lock().unwrap().clone();
        self.calls.lock().unwrap().push(copy(&request));
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            handler.unwrap_or_else(|| panic!("nobody serves {}", request.uri()))(&request)
        })
    }
}
