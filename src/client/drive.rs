//! Carries out what the engine says, over a [`Transport`]. It decides nothing.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::vec::IntoIter;

use super::items::{Item, Queue};
use super::session::SessionSource;
use super::sleep::Sleep;
use super::spans::Span;
use crate::engine::{self, Action, Begin, Broken, Config, Engine, Head, Id, Moment, Read, Table, Want};
use crate::platform::{self, Body, BoxFuture, Failure, MaybeSend, MaybeSync, Now, Request, Response, Transport};
use crate::wire::as_millis;
use crate::{Error, Reason, Secret};

/// An engine and what it needs.
pub(crate) struct Driver {
    platform: Box<dyn Transport>,
    source: Box<dyn SessionSource>,
    state: Mutex<State>,
}

/// Whoever keeps something of the user's.
pub(crate) trait UserLeft: MaybeSend + MaybeSync {
    fn user_left(&self);
}

struct State {
    engine: Engine,
    /// Whose user it was when everybody below was told last.
    epoch: u32,
    listeners: Vec<Weak<dyn UserLeft>>,
    /// What is asked of the outside, by request or reading.
    live: Table<Live>,
    /// Who is to be woken, by what they wait for.
    wakers: Table<Waker>,
    /// Jobs that run by themselves, with the number of their task.
    tasks: Table<u32>,
    last_task: u32,
    calls: Table<CallState>,
}

/// Whatever is begun goes on: the page's event loop is never left.
const ONE_RUNTIME: bool = cfg!(target_arch = "wasm32");

/// No call, mint, request or reading.
const NOBODY: Id = 0;

/// A request or a reading under way, and the call, mint, reading or drain that it is for.
struct Live {
    owner: Id,
    /// Not there while it is being polled.
    work: Option<Work>,
    span: Span,
}

enum Work {
    Session(BoxFuture<'static, Result<Option<Secret>, Error>>),
    Head(BoxFuture<'static, Result<Response, Failure>>),
    Body(Box<dyn Body>),
}

/// What a call's own future is told.
#[derive(Default)]
struct CallState {
    body: Option<String>,
    news: Option<News>,
    interrupted: bool,
}

/// What came of a call.
pub(crate) enum News {
    Settled(Result<engine::Reply, Error>),
    /// The stream is open, and this request brings it.
    Open(engine::Trace, Id),
}

impl Driver {
    pub(crate) fn new(config: Config, source: Box<dyn SessionSource>, platform: Box<dyn Transport>) -> Arc<Self> {
        let engine = Engine::new(config, platform.random());
        let state = State {
            engine,
            epoch: 0,
            listeners: Vec::new(),
            live: Table::default(),
            wakers: Table::default(),
            tasks: Table::default(),
            last_task: 0,
            calls: Table::default(),
        };
        let driver = Arc::new(Self { platform, source, state: Mutex::new(state) });
        let weak = Arc::downgrade(&driver);
        let watched = driver.source.watch(Box::new(move |access_token| {
            if let Some(driver) = weak.upgrade() {
                driver.user(access_token);
            }
        }));
        driver.engine(|engine| engine.believe_source(watched));
        driver
    }

    /// Something that needs no moment.
    pub(crate) fn engine<T>(&self, use_it: impl FnOnce(&mut Engine) -> T) -> T {
        use_it(&mut self.state().engine)
    }

    /// Nobody will use the conversation again.
    pub(crate) fn forget(self: &Arc<Self>, conversation: Id) {
        self.engine(|engine| engine.forget(conversation));
        self.perform();
    }

    pub(crate) fn user(self: &Arc<Self>, access_token: Option<&Secret>) {
        self.engine(|engine| engine.user(access_token));
        self.perform();
    }

    pub(crate) fn now(&self) -> Moment {
        moment(self.platform.now())
    }

    pub(crate) fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.platform.sleep(time)
    }

    pub(crate) fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.platform.spawn(future);
    }

    /// Tells of every change from one user to another, or to nobody.
    pub(crate) fn tell_of_leaving(&self, listener: Weak<dyn UserLeft>) {
        let mut state = self.state();
        state.listeners.retain(|listener| listener.strong_count() > 0);
        state.listeners.push(listener);
    }

    /// Begins a call and waits for what comes of it.
    pub(crate) async fn call(self: &Arc<Self>, begin: Begin, body: Option<String>) -> (Id, News) {
        let now = self.now();
        let span = Span::call(&begin.kind);
        let id = {
            let mut state = self.state();
            let id = state.engine.begin(now, begin);
            state.calls.set(id, CallState { body, ..CallState::default() });
            id
        };
        let mut call = Calling { driver: self, id, over: false, span };
        call.span.within(|| self.perform());
        let mut sleep = Sleep::default();
        let news = poll_fn(|context| call.span.within(|| self.poll_call(id, context, &mut sleep))).await;
        call.over = true;
        match &news {
            News::Open(trace, _) => call.span.opened(trace),
            News::Settled(result) => call.span.settled(result.as_ref()),
        }
        (id, news)
    }

    fn poll_call(self: &Arc<Self>, id: Id, context: &mut Context<'_>, sleep: &mut Sleep) -> Poll<News> {
        loop {
            let news = self.listening(id, context).take_news(id);
            if let Some(news) = news {
                // Not before: whoever waits for news keeps nothing of a stream.
                if let News::Open(_, request) = news {
                    self.hand_over(request);
                }
                return Poll::Ready(news);
            }
            if !self.turn(id, context, sleep, &mut Queue::new()) {
                return Poll::Pending;
            }
        }
    }

    /// Fills `queue` with the next items of a stream, if it is empty. With an end, there are none any more.
    pub(crate) fn poll_stream(
        self: &Arc<Self>,
        id: Id,
        context: &mut Context<'_>,
        sleep: &mut Sleep,
        queue: &mut IntoIter<Item>,
    ) -> Poll<Option<engine::End>> {
        loop {
            // Or aborted, from elsewhere.
            let interrupted =
                self.listening(id, context).calls.get_mut(id).is_none_or(|call| std::mem::take(&mut call.interrupted));
            if interrupted {
                *queue = IntoIter::default();
            }
            if !queue.as_slice().is_empty() {
                return Poll::Ready(None);
            }
            let now = self.now();
            if let Read::Ended(end, _) = self.engine(|engine| engine.read(now, id)) {
                self.state().forget(id);
                return Poll::Ready(Some(end));
            }
            let mut items = Queue::new();
            if !self.turn(id, context, sleep, &mut items) {
                return Poll::Pending;
            }
            *queue = items.into_iter();
        }
    }

    /// Nobody waits for this call or stream any more.
    pub(crate) fn abort(self: &Arc<Self>, id: Id) {
        {
            let mut state = self.state();
            state.engine.abort(id);
            state.calls.remove(id);
        }
        self.perform();
        self.wake(id);
    }

    /// The state, and from here on whoever changes something about the job wakes this context. Looked at before, a change in
    /// between would be missed.
    fn listening(&self, job: Id, context: &Context<'_>) -> MutexGuard<'_, State> {
        let before = self.state().wakers.put(job, Box::new(context.waker().clone()));
        // Dropped without the lock: with its last waker, a task goes, and whatever it holds.
        drop(before);
        self.state()
    }

    /// Goes on with one job, which is listening, as far as possible without waiting. `false`: nothing happens before the context
    /// is woken.
    fn turn(self: &Arc<Self>, job: Id, context: &mut Context<'_>, sleep: &mut Sleep, queue: &mut Queue) -> bool {
        let (work, due) = {
            let mut state = self.state();
            let live = state.live.iter_mut().find(|(_, live)| live.owner == job && live.work.is_some());
            let work = live.and_then(|(id, live)| Some((id, live.work.take()?)));
            (work, state.engine.due(job))
        };
        let progress = work.is_some_and(|(id, work)| self.work(id, work, context, queue));
        let progress = progress || self.is_due(due, context, sleep);
        if progress {
            self.perform();
        }
        progress
    }

    fn work(&self, id: Id, mut work: Work, context: &mut Context<'_>, queue: &mut Queue) -> bool {
        // Nothing foreign is polled while the state is held.
        let happened = match &mut work {
            Work::Session(answer) => answer.as_mut().poll(context).map(Happened::Session),
            Work::Head(response) => response.as_mut().poll(context).map(|head| match head {
                Ok(response) => Happened::Head(response),
                Err(failure) => Happened::Broken(failure),
            }),
            Work::Body(body) => body.poll_chunk(context).map(|chunk| match chunk {
                Some(Ok(bytes)) => Happened::Bytes(bytes),
                Some(Err(failure)) => Happened::Broken(failure),
                None => Happened::End,
            }),
        };
        let Poll::Ready(happened) = happened else {
            let unwanted = self.state().put_back(id, work);
            drop(unwanted);
            return false;
        };
        let now = self.now();
        let mut state = self.state();
        // Whoever it is for may have to wait for something else now.
        let owner = state.engine.owner(id);
        let unwanted = match happened {
            Happened::Session(answer) => {
                if let Some(live) = state.live.remove(id) {
                    live.span.signed_in(answer.as_ref().map(Option::is_some));
                }
                state.engine.session_read(now, id, answer);
                None
            }
            Happened::Head(response) => {
                let head = head(&response);
                if cfg!(feature = "tracing") {
                    state.live.get_mut(id).into_iter().for_each(|live| live.span.status(head.status));
                }
                let unwanted = state.put_back(id, Work::Body(response.body));
                if let Some(live) = state.live.get_mut(id) {
                    // Another thread may carry out what the engine says of it: until then nobody reads it, or it would be lost.
                    live.owner = NOBODY;
                }
                state.engine.head(now, id, head);
                unwanted
            }
            Happened::Bytes(bytes) => {
                let unwanted = state.put_back(id, work);
                state.engine.bytes(now, id, &bytes, Want::Chunks, queue);
                unwanted
            }
            Happened::End => {
                state.live.remove(id);
                state.engine.end(now, id, Want::Chunks, queue);
                None
            }
            Happened::Broken(failure) => {
                state.live.remove(id);
                state.engine.broken(now, id, &broken(&failure));
                None
            }
        };
        drop(state);
        // Without the lock: what it drops may be anybody's.
        drop(unwanted);
        owner.into_iter().for_each(|owner| self.wake(owner));
        true
    }

    fn is_due(&self, due: f64, context: &mut Context<'_>, sleep: &mut Sleep) -> bool {
        if !sleep.is_over(due, self.now(), &*self.platform, context) {
            return false;
        }
        // A timer may fire a little early.
        let now = self.now();
        self.engine(|engine| engine.wake(Moment { monotonic: now.monotonic.max(due), ..now }));
        true
    }

    /// Carries out what the engine wants done.
    fn perform(self: &Arc<Self>) {
        loop {
            let actions = self.engine(Engine::take_actions);
            if actions.is_empty() {
                break;
            }
            actions.into_iter().for_each(|action| self.carry_out(action));
        }
        let listeners = {
            let mut state = self.state();
            let epoch = state.engine.epoch();
            if std::mem::replace(&mut state.epoch, epoch) == epoch { Vec::new() } else { state.listeners.clone() }
        };
        platform::each(listeners.iter().filter_map(Weak::upgrade), |listener| listener.user_left());
    }

    fn carry_out(self: &Arc<Self>, action: Action) {
        match action {
            Action::ReadSession { reading } => {
                let driver = self.clone();
                let answer = Box::pin(async move {
                    driver.engine(|engine| engine.session_asked(reading));
                    driver.source.access_token().await
                });
                self.state()
                    .live
                    .set(reading, Live { owner: reading, work: Some(Work::Session(answer)), span: Span::session() });
                self.run(reading, true);
            }
            Action::Send { request, owner, method, url, headers, body } => {
                let (body, is_call) = {
                    let state = self.state();
                    let call = state.calls.get(owner);
                    let body = match body {
                        engine::Body::None => None,
                        engine::Body::OfCall => call.and_then(|call| call.body.clone()),
                        engine::Body::Json(json) => Some(json),
                    };
                    (body, state.engine.has_call(owner))
                };
                let response = self.platform.send(Request { method, url, headers, body });
                // A call's request leaves now, with a token that is good now, even if its caller is not polled for a while.
                let job = if is_call { request } else { owner };
                let span = if is_call { Span::none() } else { Span::mint() };
                self.state().live.set(request, Live { owner: job, work: Some(Work::Head(response)), span });
                self.run(job, true);
                // Whoever read the session or minted may have sent it: the call itself has a limit to watch now.
                if is_call {
                    self.wake(owner);
                }
            }
            Action::Pump { request } => {
                if self.hand_over(request) == Some(request) {
                    self.run(request, false);
                }
            }
            Action::Cancel { request } => {
                // Without the lock, as above.
                let cancelled = self.state().live.remove(request);
                drop(cancelled);
            }
            Action::Open { call, request, trace } => {
                self.tell(call, |state| state.news = Some(News::Open(trace, request)));
            }
            Action::Interrupt { call } => self.tell(call, |state| state.interrupted = true),
            Action::Settle { call, result } => self.tell(call, |state| state.news = Some(News::Settled(result))),
        }
    }

    /// The body of a request is read by whoever it is for now.
    fn hand_over(&self, request: Id) -> Option<Id> {
        let mut state = self.state();
        let owner = state.engine.owner(request)?;
        state.live.get_mut(request)?.owner = owner;
        drop(state);
        self.wake(owner);
        Some(owner)
    }

    fn tell(&self, call: Id, news: impl FnOnce(&mut CallState)) {
        if let Some(state) = self.state().calls.get_mut(call) {
            news(state);
        }
        self.wake(call);
    }

    fn wake(&self, job: Id) {
        let waker = self.state().wakers.remove(job);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Lets a job go on by itself, unless it does already. It is never part of a call: one that is cancelled, or just not
    /// polled for a while, takes nothing away from the others who wait for the same thing.
    ///
    /// What `begins` takes the place of the task before, whose runtime may be one that nobody drives any more.
    fn run(self: &Arc<Self>, job: Id, begins: bool) {
        let number = {
            let mut state = self.state();
            if (ONE_RUNTIME || !begins) && state.tasks.get(job).is_some() {
                drop(state);
                return self.wake(job);
            }
            state.last_task += 1;
            let number = state.last_task;
            state.tasks.set(job, number);
            number
        };
        let mut task = Task { driver: self.clone(), job, number, over: false };
        self.platform.spawn(Box::pin(async move {
            let mut sleep = Sleep::default();
            poll_fn(|context| {
                loop {
                    if task.driver.finish(task.job, task.number, context) {
                        task.over = true;
                        return Poll::Ready(());
                    }
                    if !task.driver.turn(task.job, context, &mut sleep, &mut Queue::new()) {
                        return Poll::Pending;
                    }
                }
            })
            .await;
        }));
    }

    /// Is the job over, or another task's? Then this one is over, too.
    fn finish(&self, job: Id, number: u32, context: &Context<'_>) -> bool {
        if !ONE_RUNTIME && self.state().tasks.get(job) != Some(&number) {
            // What this one was woken for.
            self.wake(job);
            return true;
        }
        let mut state = self.listening(job, context);
        if state.engine.is_under_way(job) {
            return false;
        }
        if state.live.get(job).is_some_and(|live| matches!(live.work, Some(Work::Session(_)))) {
            // Nobody waits for this reading any more.
            let late = state.live.remove(job);
            drop(state);
            drop(late);
            state = self.state();
        }
        let over = !state.live.iter().any(|(_, live)| live.owner == job);
        if over {
            state.tasks.remove(job);
            state.wakers.remove(job);
        }
        over
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What came of a call; once it is settled, nothing more will.
    fn take_news(&mut self, call: Id) -> Option<News> {
        let news = self.calls.get_mut(call)?.news.take();
        if let Some(News::Settled(_)) = news {
            self.forget(call);
        }
        news
    }

    /// A call or stream is over for whoever waited for it.
    fn forget(&mut self, call: Id) {
        self.calls.remove(call);
        self.wakers.remove(call);
    }

    /// Unless it was cancelled meanwhile: then it is given back.
    fn put_back(&mut self, id: Id, work: Work) -> Option<Work> {
        match self.live.get_mut(id) {
            Some(live) => live.work.replace(work),
            None => Some(work),
        }
    }
}

enum Happened {
    Session(Result<Option<Secret>, Error>),
    Head(Response),
    Bytes(Vec<u8>),
    End,
    Broken(Failure),
}

/// A call that is waited for; dropped before its end, it is cancelled.
struct Calling<'a> {
    driver: &'a Arc<Driver>,
    id: Id,
    over: bool,
    span: Span,
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.span.cancelled();
            self.driver.abort(self.id);
        }
    }
}

/// A job that runs by itself. Whatever becomes of what runs it, nobody waits for it for ever.
struct Task {
    driver: Arc<Driver>,
    job: Id,
    number: u32,
    over: bool,
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let now = self.driver.now();
        let error = dropped();
        let abandoned = {
            let mut state = self.driver.state();
            if !ONE_RUNTIME && state.tasks.get(self.job) != Some(&self.number) {
                return;
            }
            state.tasks.remove(self.job);
            state.engine.abandon(now, self.job, error);
            state.live.remove(self.job)
        };
        drop(abandoned);
        self.driver.perform();
    }
}

/// The error of what should have gone on by itself, and is being dropped.
pub(crate) fn dropped() -> Error {
    match platform::why_dropped() {
        Some((reason, message, hint)) => Error::new(reason, message).with_hint(Some(hint.to_owned())),
        None => Error::new(Reason::Internal, "what should have run a task of the client was dropped"),
    }
}

/// As the engine counts.
pub(crate) fn moment(now: Now) -> Moment {
    Moment { wall: as_millis(now.wall), monotonic: as_millis(now.monotonic) }
}

fn head(response: &Response) -> Head {
    let header = |name: &str| response.header(name).map(str::to_owned);
    let retry_after = header("retry-after");
    Head {
        status: response.status,
        kind: header("content-type").unwrap_or_default().to_ascii_lowercase(),
        retry_date: retry_after.as_deref().and_then(platform::http_date),
        retry_after,
        trace_id: response.trace_id(),
    }
}

fn broken(failure: &Failure) -> Broken {
    Broken { message: failure.message().to_owned(), unsent: failure.is_unsent(), is_defect: failure.is_no_response() }
}
