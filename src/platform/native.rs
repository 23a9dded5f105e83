//! The transport of native programs: reqwest on tokio.

use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::thread::BoxFuture;
use super::transport::{Body, Failure, Now, READ_HEADERS, Request, Response, Transport};
use crate::Reason;
use crate::reach::Reach;

/// [`Transport`] over [`reqwest`]; needs a tokio runtime. A stream that was opened in one may be read anywhere.
#[derive(Clone, Debug)]
pub struct NativeTransport {
    clients: Reach,
    started: Instant,
    /// Where something was begun last: its timers serve whoever reads outside.
    runtime: Arc<Mutex<Option<Handle>>>,
}

impl NativeTransport {
    /// A transport over an HTTP client of your own, with its proxies, certificates and pools.
    ///
    /// Build it with `redirect(reqwest::redirect::Policy::none())`, which is not reqwest's default: prompt, password and token
    /// would be sent on to wherever a server says. An answer from there is refused.
    pub fn new(client: reqwest::Client) -> Self {
        Self::over(Reach::by(client))
    }

    fn over(clients: Reach) -> Self {
        Self { clients, started: Instant::now(), runtime: Arc::default() }
    }

    /// A timer of the runtime that was here last.
    fn sleep_elsewhere(&self, time: Duration) -> BoxFuture<'static, ()> {
        match &*self.runtime.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(runtime) => Box::pin(Elsewhere(runtime.spawn(async move { tokio::time::sleep(time).await }))),
            // Nothing was begun that could take its time.
            None => Box::pin(pending()),
        }
    }
}

impl Default for NativeTransport {
    /// An HTTP client that follows no redirects: prompt and token go where they were addressed to, and nowhere else. The system's
    /// proxy (`HTTPS_PROXY`, …) stands before other machines, not before this one.
    fn default() -> Self {
        let builder = || reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        // On a machine without CA certificates, plain HTTP still works, and HTTPS fails with an error that says why.
        let clients = Reach::new(builder).or_else(|_| {
            Reach::new(|| reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([]))
        });
        clients.map_or_else(|_| Self::new(reqwest::Client::default()), Self::over)
    }
}

impl Transport for NativeTransport {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let method = match request.method {
            "GET" => reqwest::Method::GET,
            "PUT" => reqwest::Method::PUT,
            "DELETE" => reqwest::Method::DELETE,
            _ => reqwest::Method::POST,
        };
        let mut builder = self.clients.to(&request.url).request(method, &request.url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        Box::pin(async move {
            if let Some((message, _)) = nothing_runs_here() {
                return Err(Failure::no_response(message));
            }
            let (client, request) = builder.build_split();
            let request = request.map_err(failure)?;
            let url = request.url().clone();
            let response = client.execute(request).await.map_err(failure)?;
            if *response.url() != url {
                return Err(Failure::no_response(FOLLOWED));
            }
            let headers = READ_HEADERS
                .iter()
                .filter_map(|name| Some((*name, response.headers().get(*name)?.to_str().ok()?.to_owned())))
                .collect();
            let status = response.status().as_u16();
            let bytes = response.bytes_stream().map(|chunk| chunk.map(Vec::from).map_err(failure));
            Ok(Response { status, headers, body: Box::new(NativeBody(Box::pin(bytes))) })
        })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        match Handle::try_current() {
            Ok(_) => Box::pin(tokio::time::sleep(time)),
            Err(_) => self.sleep_elsewhere(time),
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { wall, monotonic: self.started.elapsed() }
    }

    fn random(&self) -> [u8; 16] {
        random()
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        // Outside a runtime nothing here works: the future is dropped, and the call that waits for it fails.
        if let Ok(runtime) = Handle::try_current() {
            *self.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime.clone());
            runtime.spawn(future);
        }
    }
}

/// A timer that runs in a runtime and is waited for outside. It is over, too, once the runtime is.
struct Elsewhere(JoinHandle<()>);

impl Future for Elsewhere {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const FOLLOWED: &str = "the HTTP client followed a redirect, and must be built with `redirect(Policy::none())`";

struct NativeBody(Pin<Box<dyn Stream<Item = Result<Vec<u8>, Failure>> + Send>>);

impl Body for NativeBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Failure>>> {
        self.0.as_mut().poll_next(context)
    }
}

/// Why a future that was to go on by itself was dropped, and what to do. Asked while it is being dropped.
pub(crate) fn why_dropped() -> Option<(Reason, &'static str, &'static str)> {
    let panicked = "what should have run a task of the client dropped it: a panic";
    let mend = "Mend what panicked: standard error says where. Report it, if that was in behest-client.";
    let ended = "the tokio runtime that carried out the call was shut down";
    let keep = "Ask again in a runtime that goes on, and keep it while calls are under way.";
    Some(match nothing_runs_here() {
        Some((message, hint)) => (Reason::InvalidConfig, message, hint),
        None if std::thread::panicking() => (Reason::Internal, panicked, mend),
        None => (Reason::InvalidConfig, ended, keep),
    })
}

/// What is missing here, if nothing can run.
pub(crate) fn nothing_runs_here() -> Option<(&'static str, &'static str)> {
    let message = "there is no tokio runtime here, and the client needs one";
    let hint = "Use the client inside a tokio runtime, for instance under #[tokio::main].";
    Handle::try_current().is_err().then_some((message, hint))
}

/// Random bytes fit for ids.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // No system source (it has none on no supported platform): an id must still be unique.
        bytes = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_be_bytes();
    }
    bytes
}

/// The value of a JSON number, to the last bit.
pub(crate) fn number_of(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// A finite number in JSON.
pub(crate) fn number_text(number: f64) -> String {
    // Unlike `Display`, with an exponent where it is shorter.
    format!("{number:?}")
}

/// Does the HTTP client take it? It knows more of addresses and names than that they are words.
pub(crate) fn is_url(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok()
}

/// The whole chain of causes, without the URL: the client's own message names the server.
fn failure(error: reqwest::Error) -> Failure {
    let is_unsent = error.is_connect() || error.is_builder();
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    if is_unsent { Failure::unsent(text) } else { Failure::new(text) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use axum::response::Redirect;
    use axum::routing::{any, get};

    use super::*;

    #[tokio::test]
    async fn what_a_redirect_led_to_is_refused() {
        let app = axum::Router::new().route("/", any(Redirect::temporary("/there"))).route("/there", get("an answer"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });
        let ask = |path| Request { method: "GET", url: format!("http://{address}{path}"), headers: vec![], body: None };
        let careless = NativeTransport::new(reqwest::Client::new());
        assert_eq!(careless.send(ask("/there")).await.unwrap().status, 200);
        let failure = careless.send(ask("/")).await.unwrap_err();
        assert!(failure.is_no_response() && failure.message().contains("Policy::none()"), "{failure}");
        assert_eq!(NativeTransport::default().send(ask("/")).await.unwrap().status, 307);
    }

    /// The environment is read when a client is made, so that the test runs in a process of its own.
    #[tokio::test]
    async fn no_proxy_stands_before_this_machine() {
        const PROXY: &str = "HTTP_PROXY";
        const NOBODY: &str = "http://127.0.0.1:9";
        if std::env::var(PROXY).as_deref() != Ok(NOBODY) {
            let name = "platform::native::tests::no_proxy_stands_before_this_machine";
            let mut test = std::process::Command::new(std::env::current_exe().unwrap());
            let test = test.args([name, "--exact"]).env(PROXY, NOBODY).env("NO_PROXY", "");
            let output = test.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, axum::Router::new()).await });
        let ask = |host: &str| Request { method: "GET", url: format!("http://{host}/"), headers: vec![], body: None };
        let transport = NativeTransport::default();
        assert_eq!(transport.send(ask(&address.to_string())).await.unwrap().status, 404);
        let careless = NativeTransport::new(reqwest::Client::new());
        assert!(careless.send(ask(&address.to_string())).await.is_err(), "a client of one's own keeps its proxies");
    }
}
