//! A conversation for user interfaces: one value that a signal, a state handle or a terminal follows.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream as _;

use super::chat::{ChatRequest, Message};
use super::drive::{UserLeft, dropped};
use super::handle::Client;
use super::stream::ChatStream;
use super::tools::Tools;
use crate::Error;
use crate::engine::{ChatState, ConversationOptions, Next, Outcome, Sent, ToolCall, next};
use crate::platform::{BoxFuture, MaybeSend, MaybeSync, OnThread, each, tell_in_drop};

/// While an answer streams, its growing text is told this often at most.
const FRAME: Duration = Duration::from_millis(16);

/// One conversation: its messages, and what is being done about them.
///
/// Every change is told to one function, one change at a time and never while another one is being told; while an answer
/// streams in, at most once in 16 ms. In Leptos it sets a signal, in Yew a state handle:
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use behest_client::client::{Chat, ChatStatus};
/// # use behest_client::testing::World;
/// # let world = World::new();
/// # let client = world.client();
/// # let signal = std::sync::Arc::new(std::sync::Mutex::new(Default::default()));
/// # let set = { let signal = signal.clone(); move |state| *signal.lock().unwrap() = state };
/// let chat = Chat::new(&client, move |state| set(state.clone()));
/// chat.send("Hi!");
/// # world.run(chat.idle());
/// # assert_eq!(chat.state(), *signal.lock().unwrap());
/// assert_eq!(chat.state().status, ChatStatus::Ready);
/// assert_eq!(chat.state().messages[1].text, "Hello");
/// # }
/// ```
///
/// It has a session of its own, unless it is made of a [conversation](Client::conversation). Clones are the same
/// conversation; with the last one, what is under way is cancelled. What belongs to a user who has left is cleared.
/// Natively it needs the runtime that the client needs.
#[derive(Clone)]
#[must_use = "a conversation that is dropped is cancelled"]
pub struct Chat(OnThread<Arc<Shared>>);

struct Shared {
    client: Client,
    template: ChatRequest,
    tools: Option<Arc<Tools>>,
    listener: Box<dyn Listener>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    state: ChatState,
    /// Made with the first question: it belongs to whoever asks.
    conversation: Option<Client>,
    /// Earlier ones, which are not dropped while all this is held: what they drop may lead back here.
    left: Vec<Client>,
    job: Option<Arc<Job>>,
    is_telling: bool,
    untold: bool,
    waiting: Vec<Waker>,
}

trait Listener: MaybeSend + MaybeSync {
    fn changed(&self, state: &ChatState);
}

impl<F: Fn(&ChatState) + MaybeSend + MaybeSync> Listener for F {
    fn changed(&self, state: &ChatState) {
        self(state);
    }
}

impl Chat {
    /// A conversation with the project's model. `changed` is told of every change.
    pub fn new(client: &Client, changed: impl Fn(&ChatState) + MaybeSend + MaybeSync + 'static) -> Self {
        Self::from_request(client, ChatRequest::new([]), changed)
    }

    /// A conversation whose every request has this one's model and further fields, and its messages before all others: a
    /// system prompt, say.
    pub fn from_request(
        client: &Client,
        request: ChatRequest,
        changed: impl Fn(&ChatState) + MaybeSend + MaybeSync + 'static,
    ) -> Self {
        Self::made_of(client, request, None, Box::new(changed))
    }

    /// A conversation whose model may call tools, which then run by themselves: the same turn goes on until the model has
    /// answered. The request is as that of [`from_request`](Self::from_request); its own `tools` would come first.
    pub fn with_tools(
        client: &Client,
        request: ChatRequest,
        tools: Tools,
        changed: impl Fn(&ChatState) + MaybeSend + MaybeSync + 'static,
    ) -> Self {
        let described = request.extra.contains_key("tools");
        let request = if described { request } else { request.with("tools", tools.definitions()) };
        Self::made_of(client, request, Some(Arc::new(tools)), Box::new(changed))
    }

    fn made_of(client: &Client, template: ChatRequest, tools: Option<Arc<Tools>>, listener: Box<dyn Listener>) -> Self {
        let client = client.clone();
        let shared = Arc::new(Shared { client, template, tools, listener, inner: Mutex::default() });
        let weak: Weak<Shared> = Arc::downgrade(&shared);
        shared.client.driver().tell_of_leaving(weak);
        Self(OnThread::new(shared))
    }

    /// The newest state, which the function may not have been told yet.
    pub fn state(&self) -> ChatState {
        self.0.inner().state.clone()
    }

    /// Asks. `false`: the text is blank, or something is under way already.
    pub fn send(&self, text: impl AsRef<str>) -> bool {
        self.0.ask(|state| state.ask(text.as_ref()))
    }

    /// Asks the last question again, in place of its answer. `false`: there is none, or something is under way.
    pub fn regenerate(&self) -> bool {
        self.0.ask(ChatState::regenerate)
    }

    /// Asks in place of an earlier question, by its [id](super::ChatMessage::id); what followed it goes. `false`: there is no
    /// such question, the text is blank, or something is under way.
    pub fn edit(&self, id: u64, text: impl AsRef<str>) -> bool {
        self.0.ask(|state| state.edit(id, text.as_ref()))
    }

    /// Cancels the answer, on the wire too. What came so far stays.
    pub fn stop(&self) {
        self.0.change(|inner| inner.state.stop().then(|| inner.cancel()).is_some());
    }

    /// Stops, and begins anew: without messages, without a thread, and with a session of its own.
    pub fn clear(&self) {
        self.0.change(|inner| inner.begin_anew());
    }

    /// Stops, and goes over to a thread that the gateway stores, whose messages are fetched; `None` leaves threads. In a thread
    /// only what is new is sent.
    pub fn set_thread(&self, thread_id: Option<&str>) {
        let Some(id) = thread_id else { return self.clear() };
        let (id, client) = (id.to_owned(), self.0.client.clone());
        let thread_id = id.clone();
        self.0.begin(
            |inner| {
                inner.begin_anew();
                inner.state.load(thread_id);
                true
            },
            |chat, _| {
                Box::pin(async move {
                    let reply = client.thread_messages(&id).await;
                    chat.tell(|state| state.loaded(reply.as_ref().map(|reply| &*reply.json).map_err(Clone::clone)));
                })
            },
        );
    }

    /// Waits until nothing is under way.
    pub async fn idle(&self) {
        poll_fn(|context| {
            let mut inner = self.0.inner();
            if !inner.state.is_busy() {
                return Poll::Ready(());
            }
            let waker = context.waker();
            if !inner.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
                inner.waiting.push(waker.clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Shared {
    fn ask(self: &Arc<Self>, prepare: impl FnOnce(&mut ChatState) -> bool) -> bool {
        let started = |chat: Turn, inner: &mut Inner| -> BoxFuture<'static, ()> {
            let request = self.request(&inner.state);
            let conversation = inner.conversation(&self.client);
            let tools = self.tools.clone();
            Box::pin(async move {
                let (outcome, error) = match conversation {
                    Ok(client) => chat.rounds(&client, request, tools.as_deref()).await,
                    Err(error) => (Outcome::Failed, Some(error)),
                };
                chat.tell(|state| state.end(outcome, error));
            })
        };
        self.begin(|inner| prepare(&mut inner.state), started)
    }

    /// Begins a job, if `prepare` says that there is one.
    fn begin(
        self: &Arc<Self>,
        prepare: impl FnOnce(&mut Inner) -> bool,
        job: impl FnOnce(Turn, &mut Inner) -> BoxFuture<'static, ()>,
    ) -> bool {
        let handle = Arc::new(Job::default());
        let work = {
            let mut inner = self.inner();
            if !prepare(&mut inner) {
                return false;
            }
            let turn = Turn { chat: Arc::downgrade(self), number: inner.state.turn() };
            inner.job = Some(handle.clone());
            job(turn, &mut inner)
        };
        self.tell();
        self.client.driver().spawn(Box::pin(handle.run(work)));
        true
    }

    fn request(&self, state: &ChatState) -> ChatRequest {
        let mut request = self.template.clone();
        request.messages.extend(state.unsent().into_iter().map(|sent| match sent {
            Sent::Said { role, text } => Message::new(role, text),
            Sent::Called { text, calls } => Message::assistant_with(Some(text).filter(|text| !text.is_empty()), calls),
            Sent::Answered { call, text } => Message::tool(call, text),
        }));
        request
    }

    fn change(&self, change: impl FnOnce(&mut Inner) -> bool) {
        let is_changed = change(&mut self.inner());
        if is_changed {
            self.tell();
        }
    }

    /// Tells the newest state, unless that is being done: then it is told once more.
    fn tell(&self) {
        let (is_telling, left) = {
            let mut inner = self.inner();
            inner.untold = true;
            (std::mem::replace(&mut inner.is_telling, true), std::mem::take(&mut inner.left))
        };
        drop(left);
        if is_telling {
            return;
        }
        each(std::iter::from_fn(|| self.untold()), |state| self.listener.changed(&state));
    }

    /// What is told next. `None`: the telling is over.
    fn untold(&self) -> Option<ChatState> {
        let mut inner = self.inner();
        if std::mem::take(&mut inner.untold) {
            return Some(inner.state.clone());
        }
        inner.is_telling = false;
        let waiting = if inner.state.is_busy() { Vec::new() } else { std::mem::take(&mut inner.waiting) };
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
        None
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UserLeft for Shared {
    fn user_left(&self) {
        self.change(|inner| {
            // Who signs in first finds nothing of another's.
            let is_empty = inner.state.messages.is_empty() && !inner.state.is_busy();
            inner.begin_anew();
            !is_empty
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.inner().cancel();
    }
}

impl Inner {
    /// The client that the conversation's calls are made with.
    fn conversation(&mut self, client: &Client) -> Result<Client, Error> {
        if let Some(conversation) = &self.conversation {
            return Ok(conversation.clone());
        }
        let thread_id = self.state.thread_id.clone();
        let is_first = self.state.messages.len() == 1;
        let conversation = match !client.is_main() && thread_id.is_none() && is_first {
            true => client.clone(),
            false => client.conversation(ConversationOptions { thread_id, ..ConversationOptions::new() })?,
        };
        Ok(self.conversation.insert(conversation).clone())
    }

    fn begin_anew(&mut self) -> bool {
        self.cancel();
        self.left.extend(self.conversation.take());
        self.state.clear();
        true
    }

    fn cancel(&mut self) {
        self.job.take().into_iter().for_each(|job| job.cancel());
    }
}

/// What runs for a conversation. It does not keep it: that is its owner's part.
struct Turn {
    chat: Weak<Shared>,
    number: u64,
}

impl Turn {
    /// Changes the state, unless something else is under way by now.
    fn tell(&self, change: impl FnOnce(&mut ChatState)) {
        let Some(chat) = self.chat.upgrade() else { return };
        chat.change(|inner| {
            let is_current = inner.state.turn() == self.number;
            if is_current {
                change(&mut inner.state);
            }
            is_current
        });
    }

    fn is_current(&self) -> bool {
        self.chat.upgrade().is_some_and(|chat| chat.inner().state.turn() == self.number)
    }

    /// Answers, tools, and answers again, until there is nothing more to do.
    async fn rounds(
        &self,
        client: &Client,
        mut request: ChatRequest,
        tools: Option<&Tools>,
    ) -> (Outcome, Option<Error>) {
        for round in 1.. {
            let (outcome, error, calls) = match client.chat_stream(&request).await {
                Ok(stream) => self.follow(stream).await,
                Err(error) => return (Outcome::Failed, Some(error)),
            };
            let Some(tools) = tools.filter(|_| error.is_none()) else { return (outcome, error) };
            match next(outcome, calls.len(), round, tools.max_rounds) {
                Next::End => return (outcome, None),
                Next::Fail(error) => return (outcome, Some(error)),
                Next::RunTools => {}
            }
            self.tell(|state| state.calls_tools(outcome));
            // Whoever was told may have stopped it.
            if !self.is_current() {
                break;
            }
            let answers = tools.answers(&calls).await;
            self.tell(|state| state.tools_gave(answers));
            match self.chat.upgrade() {
                Some(chat) => request = chat.request(&chat.inner().state),
                None => break,
            }
        }
        (Outcome::Aborted, None)
    }

    /// An answer up to its end, and the tools that it calls.
    async fn follow(&self, mut stream: ChatStream) -> (Outcome, Option<Error>, Vec<ToolCall>) {
        let (mut text, mut has_news, mut frame) = (String::new(), false, None);
        let error = poll_fn(|context| {
            let end = loop {
                match Pin::new(&mut stream).poll_next(context) {
                    Poll::Ready(Some(Ok(chunk))) => {
                        chunk.write_to(&mut text);
                        has_news = true;
                    }
                    Poll::Ready(Some(Err(error))) => break Some(Some(error)),
                    Poll::Ready(None) => break Some(None),
                    Poll::Pending => break None,
                }
            };
            while has_news {
                if end.is_none() && !self.is_next_frame(&mut frame, context) {
                    break;
                }
                self.tell(|state| state.add(&text, stream.tool_calls()));
                text.clear();
                has_news = false;
            }
            end.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        (stream.outcome().unwrap_or(Outcome::Failed), error, stream.tool_calls().cloned().collect())
    }

    /// May a change be told? If so, the next one after a while; otherwise the context is woken then.
    fn is_next_frame(&self, frame: &mut Option<BoxFuture<'static, ()>>, context: &mut Context<'_>) -> bool {
        let is_due = frame.as_mut().is_none_or(|frame| frame.as_mut().poll(context).is_ready());
        if is_due {
            *frame = self.chat.upgrade().map(|chat| chat.client.driver().sleep(FRAME));
        }
        is_due
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Of no account where the turn has ended.
        tell_in_drop(|| {
            self.tell(|state| match state.loading {
                true => state.loaded(Err(dropped())),
                false => state.end(Outcome::Failed, Some(dropped())),
            });
        });
    }
}

/// A future that can be dropped from elsewhere.
#[derive(Default)]
struct Job {
    is_cancelled: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Job {
    fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
    }

    async fn run(self: Arc<Self>, work: BoxFuture<'static, ()>) {
        let mut work = pin!(work);
        poll_fn(|context| {
            *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            match self.is_cancelled.load(Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => work.as_mut().poll(context),
            }
        })
        .await;
    }
}

/// The same conversation.
impl PartialEq for Chat {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat").field("status", &self.state().status).finish_non_exhaustive()
    }
}
