//! Scripted servers, sessions and clocks behind the client's [`Transport`].

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::client::transport::{Body, BoxFuture, Failure, MaybeSend, Now, Request, Response, Transport};
use crate::client::{Client, ClientBuilder};
use crate::{Error, Secret};

use super::reply::{Chunk, Head, Reply, access_token, bundle, delta, finish, text};

/// The gateway's base URL.
pub const GATEWAY: &str = "https://gateway.example";
/// The Supabase project's URL.
pub const SUPABASE: &str = "https://project.example";
/// The token function's URL.
pub const FUNCTION: &str = "https://project.example/functions/v1/behest-token";

#[cfg(not(target_arch = "wasm32"))]
type Script = Box<dyn FnMut(&Request, &Log) -> Reply + Send>;
#[cfg(target_arch = "wasm32")]
type Script = Box<dyn FnMut(&Request, &Log) -> Reply>;
#[cfg(not(target_arch = "wasm32"))]
type Sessions = Box<dyn FnMut() -> Result<Option<Secret>, Error> + Send>;
#[cfg(target_arch = "wasm32")]
type Sessions = Box<dyn FnMut() -> Result<Option<Secret>, Error>>;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Every request, in order.
    pub requests: Vec<Request>,
    /// How often the session source was asked.
    pub session_reads: usize,
    /// Requests or bodies that were dropped before their end.
    pub cancelled: usize,
    /// Chunks handed to the client.
    pub chunks_read: usize,
    /// Token requests not yet answered or dropped.
    pub mints_open: usize,
    /// The most of them at one time.
    pub most_mints_open: usize,
}

impl Log {
    /// Requests whose URL contains this.
    pub fn to(&self, url_part: &str) -> usize {
        self.requests.iter().filter(|request| request.url.contains(url_part)).count()
    }

    /// Requests to the token function.
    pub fn mints(&self) -> usize {
        self.to("/functions/v1/")
    }

    /// Requests for a chat completion.
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
    session_delay: Duration,
    /// Shared with a script that runs, so that none of them costs a copy.
    log: Arc<Log>,
    spawned: Vec<BoxFuture<'static, ()>>,
    /// Of [`World::drive`]: there is something new to do.
    driver: Option<Waker>,
}

impl Inner {
    fn log(&mut self) -> &mut Log {
        Arc::make_mut(&mut self.log)
    }
}

/// A whole world for one client, without network and without waiting. Its clocks jump to the next timer as soon as
/// nothing else can happen, so a limit of two minutes is tested in no time.
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
            session_delay: Duration::ZERO,
            log: Arc::default(),
            spawned: vec![],
            driver: None,
        })));
        world.serve(default_reply);
        world.signed_in("user-1", "login-1");
        world
    }

    /// What the servers answer from now on. The script may turn the world's clocks and change its session.
    pub fn serve(&self, script: impl FnMut(&Request, &Log) -> Reply + MaybeSend + 'static) {
        self.inner().script = Some(Box::new(script));
    }

    /// What the session source answers from now on.
    pub fn sessions(&self, sessions: impl FnMut() -> Result<Option<Secret>, Error> + MaybeSend + 'static) {
        self.inner().sessions = Some(Box::new(sessions));
    }

    /// The session source takes this long from now on: what it answers is as it was at the beginning.
    pub fn sessions_take(&self, time: Duration) {
        self.inner().session_delay = time;
    }

    /// This user is signed in. (Tell the client with `session_changed`, as an application would.)
    pub fn signed_in(&self, user: &str, login: &str) {
        let token = access_token(user, login);
        self.sessions(move || Ok(Some(token.clone())));
    }

    /// Nobody is signed in.
    pub fn signed_out(&self) {
        self.sessions(|| Ok(None));
    }

    /// A client of this world, to be configured further.
    pub fn builder(&self) -> ClientBuilder {
        let world = self.clone();
        Client::builder(GATEWAY).function(SUPABASE, "behest-token").transport(self.clone()).session(move || {
            let mut inner = world.inner();
            inner.log().session_reads += 1;
            let mut sessions = inner.sessions.take().expect("a session source");
            let delay = inner.session_delay;
            drop(inner);
            let answer = sessions();
            world.inner().sessions.get_or_insert(sessions);
            let sleep = (!delay.is_zero()).then(|| world.sleep(delay));
            async move {
                if let Some(sleep) = sleep {
                    sleep.await;
                }
                answer
            }
        })
    }

    /// A client of this world.
    ///
    /// # Panics
    /// Never: the world's own URLs are valid.
    pub fn client(&self) -> Client {
        self.builder().build().expect("a valid configuration")
    }

    /// Looks at what has happened so far. Do not call the world from inside `read`.
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

    /// Seconds since the world began.
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

    /// As [`run`](Self::run), inside a runtime: `world.drive(…).await` under `#[tokio::test]`, with whatever was spawned there.
    ///
    /// Time passes once nothing in the runtime has anything to do, as a runtime of one thread can tell, which is what
    /// `#[tokio::test]` has by default.
    pub async fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let woken = Arc::new(Forward::default());
        let waker = Waker::from(woken.clone());
        let mut quiet = 0;
        poll_fn(|context| {
            *woken.to.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            let was_woken = woken.flag.swap(false, Ordering::SeqCst);
            let mut own = Context::from_waker(&waker);
            // What is begun while this polls is seen by this.
            self.inner().driver = None;
            let polled = future.as_mut().poll(&mut own);
            self.poll_spawned(&mut own);
            self.inner().driver = Some(waker.clone());
            if polled.is_ready() {
                return polled;
            }
            quiet = if was_woken || woken.flag.load(Ordering::SeqCst) { 0 } else { quiet + 1 };
            if quiet > QUIET_ROUNDS {
                quiet = 0;
                if !self.jump_to_next_timer() {
                    // Whatever is left to happen happens elsewhere, and wakes this.
                    return Poll::Pending;
                }
            }
            // After everything else that can go on.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Polls a future as far as it goes without time passing, and everything that was spawned.
    pub fn poll_once<T>(&self, mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
        let mut context = Context::from_waker(Waker::noop());
        let first = future.as_mut().poll(&mut context);
        self.poll_spawned(&mut context);
        if first.is_ready() { first } else { future.poll(&mut context) }
    }

    fn poll_spawned(&self, context: &mut Context<'_>) {
        let mut pending = vec![];
        loop {
            // Tasks spawn tasks: those run at once, too.
            let tasks = std::mem::take(&mut self.inner().spawned);
            if tasks.is_empty() {
                break;
            }
            for mut task in tasks {
                if task.as_mut().poll(context).is_pending() {
                    pending.push(task);
                }
            }
        }
        self.inner().spawned = pending;
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

    /// It has something new to do, or to wait for.
    fn tell_driver(&self) {
        let driver = self.inner().driver.clone();
        driver.into_iter().for_each(Waker::wake);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So often everything else had its turn, and nothing came of it: one task may wake the next one, and that one another.
const QUIET_ROUNDS: usize = 16;

/// Notes that it was woken, and passes it on.
#[derive(Default)]
struct Forward {
    flag: AtomicBool,
    to: Mutex<Option<Waker>>,
}

impl Wake for Forward {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, Ordering::SeqCst);
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        to.into_iter().for_each(Waker::wake);
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
            let (mut script, log) = {
                let mut inner = world.inner();
                let log = inner.log();
                log.requests.push(request.clone());
                log.mints_open += usize::from(request.url == FUNCTION);
                log.most_mints_open = log.most_mints_open.max(log.mints_open);
                (inner.script.take().expect("a script"), inner.log.clone())
            };
            let reply = script(&request, &log);
            drop(log);
            world.inner().script.get_or_insert(script);
            let mut unfinished = Unfinished { world: world.clone(), is_mint: request.url == FUNCTION, done: false };
            match reply.head {
                Head::Hangs => std::future::pending().await,
                Head::Fails(text) => {
                    unfinished.done = true;
                    Err(Failure::unsent(text))
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
        self.tell_driver();
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
        drop(inner);
        self.world.tell_driver();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.world.inner().sleepers.retain(|(id, _, _)| *id != self.id);
    }
}

/// A request under way; one that is dropped before its end counts as cancelled.
struct Unfinished {
    world: World,
    is_mint: bool,
    done: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut inner = self.world.inner();
        inner.log().mints_open -= usize::from(self.is_mint);
        inner.log().cancelled += usize::from(!self.done);
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
                    self.unfinished.done = true;
                    return Poll::Ready(None);
                }
                Some(Chunk::Bytes(bytes)) => {
                    self.world.inner().log().chunks_read += 1;
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Chunk::Wait(time)) => self.wait = Some(self.world.sleep(time)),
                Some(Chunk::Stall) => {
                    self.chunks.push_front(Chunk::Stall);
                    return Poll::Pending;
                }
                Some(Chunk::Cut) => {
                    self.unfinished.done = true;
                    return Poll::Ready(Some(Err(Failure::new("connection reset"))));
                }
            }
        }
    }
}

/// What [`World::new`]'s servers answer: tokens of 900 s, and "Hello", in one piece or streamed.
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

/// The value of a request's header.
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("seconds", &self.seconds()).finish_non_exhaustive()
    }
}
