//! A whole world for the client, without network and without waiting: scripted servers, and clocks that jump
//! to the next timer as soon as nothing else can happen. The same code runs natively and in browsers.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use behest_client::client::transport::{Body, BoxFuture, Failure, MaybeSend, Now, Request, Response, Transport};
use behest_client::client::{Client, ClientBuilder};
use behest_client::{Error, Secret};

pub const GATEWAY: &str = "https://gateway.example";
pub const SUPABASE: &str = "https://project.example";
pub const FUNCTION: &str = "https://project.example/functions/v1/behest-token";

/// What a scripted server does with a request.
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    chunks: Vec<Chunk>,
    head: Head,
}

enum Head {
    Comes,
    Fails(String),
    Hangs,
}

#[derive(Clone)]
pub enum Chunk {
    Bytes(Vec<u8>),
    Wait(Duration),
    Stall,
    Cut,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::bytes(status, "application/json", [body.into().into_bytes()])
    }

    pub fn bytes(status: u16, content_type: &str, chunks: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            chunks: chunks.into_iter().map(Chunk::Bytes).collect(),
            head: Head::Comes,
        }
    }

    pub fn stream(chunks: impl IntoIterator<Item = Chunk>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/event-stream; charset=utf-8".to_owned())],
            chunks: chunks.into_iter().collect(),
            head: Head::Comes,
        }
    }

    pub fn refused(text: &str) -> Self {
        Self { status: 0, headers: vec![], chunks: vec![], head: Head::Fails(text.to_owned()) }
    }

    pub fn hang() -> Self {
        Self { status: 0, headers: vec![], chunks: vec![], head: Head::Hangs }
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The body begins only after this time.
    pub fn delayed(mut self, time: Duration) -> Self {
        self.chunks.insert(0, Chunk::Wait(time));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

pub fn text(text: impl Into<String>) -> Chunk {
    Chunk::Bytes(text.into().into_bytes())
}

#[cfg(not(target_arch = "wasm32"))]
type Script = Box<dyn FnMut(&Request, &Log) -> Reply + Send>;
#[cfg(target_arch = "wasm32")]
type Script = Box<dyn FnMut(&Request, &Log) -> Reply>;
#[cfg(not(target_arch = "wasm32"))]
type Sessions = Box<dyn FnMut() -> Result<Option<Secret>, Error> + Send>;
#[cfg(target_arch = "wasm32")]
type Sessions = Box<dyn FnMut() -> Result<Option<Secret>, Error>>;

/// What has happened so far.
#[derive(Default)]
pub struct Log {
    pub requests: Vec<Request>,
    pub session_reads: usize,
    /// Requests or bodies that were dropped before their end.
    pub cancelled: usize,
    /// Chunks handed to the client.
    pub chunks_read: usize,
}

impl Log {
    pub fn to(&self, url_part: &str) -> usize {
        self.requests.iter().filter(|request| request.url.contains(url_part)).count()
    }

    pub fn mints(&self) -> usize {
        self.to("/functions/v1/")
    }

    pub fn chats(&self) -> usize {
        self.to("/v1/chat/completions")
    }
}

struct Inner {
    wall: Duration,
    monotonic: Duration,
    sleepers: Vec<(u64, Duration, Waker)>,
    next_sleeper: u64,
    random: u64,
    script: Option<Script>,
    sessions: Option<Sessions>,
    log: Log,
    spawned: Vec<BoxFuture<'static, ()>>,
}

#[derive(Clone)]
pub struct World(Arc<Mutex<Inner>>);

impl World {
    /// Servers that answer as documented: tokens of 900 s, and the answer "Hello".
    pub fn new() -> Self {
        let world = Self(Arc::new(Mutex::new(Inner {
            wall: Duration::from_secs(1_790_000_000),
            monotonic: Duration::from_secs(5),
            sleepers: vec![],
            next_sleeper: 0,
            random: 1,
            script: None,
            sessions: None,
            log: Log::default(),
            spawned: vec![],
        })));
        world.serve(|request, log| default_reply(request, log));
        world.signed_in("user-1", "login-1");
        world
    }

    pub fn serve(&self, script: impl FnMut(&Request, &Log) -> Reply + MaybeSend + 'static) {
        self.inner().script = Some(Box::new(script));
    }

    pub fn sessions(&self, sessions: impl FnMut() -> Result<Option<Secret>, Error> + MaybeSend + 'static) {
        self.inner().sessions = Some(Box::new(sessions));
    }

    pub fn signed_in(&self, user: &str, login: &str) {
        let token = access_token(user, login);
        self.sessions(move || Ok(Some(token.clone())));
    }

    pub fn signed_out(&self) {
        self.sessions(|| Ok(None));
    }

    pub fn builder(&self) -> ClientBuilder {
        let world = self.clone();
        Client::builder(GATEWAY).function(SUPABASE, "behest-token").transport(self.clone()).session(move || {
            let mut inner = world.inner();
            inner.log.session_reads += 1;
            let mut sessions = inner.sessions.take().expect("a session source");
            drop(inner);
            let answer = sessions();
            world.inner().sessions.get_or_insert(sessions);
            std::future::ready(answer)
        })
    }

    pub fn client(&self) -> Client {
        self.builder().build().expect("a valid configuration")
    }

    pub fn log<T>(&self, read: impl FnOnce(&Log) -> T) -> T {
        read(&self.inner().log)
    }

    /// Both clocks go on.
    pub fn pass(&self, seconds: u64) {
        let mut inner = self.inner();
        inner.wall += Duration::from_secs(seconds);
        inner.monotonic += Duration::from_secs(seconds);
    }

    /// The machine sleeps: only the wall clock goes on.
    pub fn sleep_machine(&self, seconds: u64) {
        self.inner().wall += Duration::from_secs(seconds);
    }

    /// Somebody sets the wall clock back.
    pub fn set_clock_back(&self, seconds: u64) {
        self.inner().wall -= Duration::from_secs(seconds);
    }

    pub fn seconds(&self) -> f64 {
        self.inner().monotonic.as_secs_f64() - 5.0
    }

    /// Drives a future to its end, and everything that was spawned as far as it goes.
    ///
    /// # Panics
    /// If nothing can ever happen again: the future hangs.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            while woken.0.swap(false, Ordering::SeqCst) {
                let polled = future.as_mut().poll(&mut context);
                self.poll_spawned(&mut context);
                if let Poll::Ready(value) = polled {
                    return value;
                }
            }
            assert!(self.jump_to_next_timer(), "the future hangs: nothing is left that could wake it");
        }
    }

    /// Polls a future once.
    pub fn poll_once<T>(&self, future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn poll_spawned(&self, context: &mut Context<'_>) {
        let tasks = std::mem::take(&mut self.inner().spawned);
        for mut task in tasks {
            if task.as_mut().poll(context).is_pending() {
                self.inner().spawned.push(task);
            }
        }
    }

    fn jump_to_next_timer(&self) -> bool {
        let mut inner = self.inner();
        let Some(next) = inner.sleepers.iter().map(|(_, until, _)| *until).min() else { return false };
        let step = next.saturating_sub(inner.monotonic);
        inner.monotonic += step;
        inner.wall += step;
        let (due, later) = std::mem::take(&mut inner.sleepers).into_iter().partition(|(_, until, _)| *until <= next);
        inner.sleepers = later;
        drop(inner);
        let due: Vec<(u64, Duration, Waker)> = due;
        due.into_iter().for_each(|(_, _, waker)| waker.wake());
        true
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Transport for World {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let world = self.clone();
        Box::pin(async move {
            // The script runs without the lock, so that it may turn the world's clocks and change its sessions.
            let (mut script, mut log) = {
                let mut inner = world.inner();
                inner.log.requests.push(request.clone());
                (inner.script.take().expect("a script"), std::mem::take(&mut inner.log))
            };
            let reply = script(&request, &log);
            {
                let mut inner = world.inner();
                log.cancelled += inner.log.cancelled;
                inner.log = log;
                inner.script.get_or_insert(script);
            }
            let mut unfinished = Unfinished(Some(world.clone()));
            match reply.head {
                Head::Hangs => std::future::pending().await,
                Head::Fails(text) => {
                    unfinished.0 = None;
                    Err(Failure(text))
                }
                Head::Comes => {
                    let body = ScriptedBody { world, chunks: reply.chunks.into(), wait: None, unfinished };
                    Ok(Response { status: reply.status, headers: reply.headers, body: Box::new(body) })
                }
            }
        })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let mut inner = self.inner();
        inner.next_sleeper += 1;
        let (id, until) = (inner.next_sleeper, inner.monotonic.saturating_add(time));
        drop(inner);
        Box::pin(Sleep { world: self.clone(), id, until })
    }

    fn now(&self) -> Now {
        let inner = self.inner();
        Now { wall: inner.wall, monotonic: inner.monotonic }
    }

    fn random(&self) -> [u8; 16] {
        let mut inner = self.inner();
        // SplitMix64: any sequence that does not repeat will do.
        inner.random = inner.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (inner.random ^ (inner.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (u128::from(mixed) << 64 | u128::from(inner.random)).to_be_bytes()
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.inner().spawned.push(future);
    }
}

struct Sleep {
    world: World,
    id: u64,
    until: Duration,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.world.inner();
        inner.sleepers.retain(|(id, _, _)| *id != self.id);
        if inner.monotonic >= self.until {
            return Poll::Ready(());
        }
        inner.sleepers.push((self.id, self.until, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.world.inner().sleepers.retain(|(id, _, _)| *id != self.id);
    }
}

/// Counts a request that is dropped before its end.
struct Unfinished(Option<World>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(world) = &self.0 {
            world.inner().log.cancelled += 1;
        }
    }
}

struct ScriptedBody {
    world: World,
    chunks: VecDeque<Chunk>,
    wait: Option<BoxFuture<'static, ()>>,
    unfinished: Unfinished,
}

impl Body for ScriptedBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Failure>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                std::task::ready!(wait.as_mut().poll(context));
                self.wait = None;
            }
            match self.chunks.pop_front() {
                None => {
                    self.unfinished.0 = None;
                    return Poll::Ready(None);
                }
                Some(Chunk::Bytes(bytes)) => {
                    self.world.inner().log.chunks_read += 1;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Chunk::Wait(time)) => self.wait = Some(self.world.sleep(time)),
                Some(Chunk::Stall) => {
                    self.chunks.push_front(Chunk::Stall);
                    return Poll::Pending;
                }
                Some(Chunk::Cut) => {
                    self.unfinished.0 = None;
                    return Poll::Ready(Some(Err(Failure("connection reset".to_owned()))));
                }
            }
        }
    }
}

pub fn default_reply(request: &Request, log: &Log) -> Reply {
    if request.url == FUNCTION {
        return bundle(&format!("token-{}", log.mints()), 900);
    }
    if request.body.as_deref().is_some_and(|body| body.contains("\"stream\":true")) {
        return Reply::stream([text(delta("Hel")), text(delta("lo")), text(finish("stop")), text("data: [DONE]\n\n")]);
    }
    Reply::json(
        200,
        r#"{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#,
    )
}

/// The documented four fields. `expiresAt` is nonsense on purpose: the server's clock must not matter.
pub fn bundle(token: &str, ttl: u64) -> Reply {
    Reply::json(200, format!(r#"{{"token":"{token}","ttl":{ttl},"sessionId":"session-1","expiresAt":1}}"#))
}

pub fn delta(text: &str) -> String {
    let json =
        serde_json::json!({"id": "c1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {json}\n\n")
}

pub fn finish(reason: &str) -> String {
    let json = serde_json::json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    format!("data: {json}\n\n")
}

/// A Supabase access token. Clients never verify, so the signature is only a shape here.
pub fn access_token(user: &str, login: &str) -> Secret {
    jwt(&serde_json::json!({"sub": user, "session_id": login, "role": "authenticated"})).into()
}

pub fn jwt(claims: &serde_json::Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"ES256","typ":"JWT"}"#), part(&claims.to_string()))
}

pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
}
