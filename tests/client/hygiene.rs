//! What callers may do to futures and callbacks: drop them anywhere, panic in them, poll them for ever, keep what they hold.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use behest_client::client::transport::{Failure, Now, Request, Response, Transport};
use behest_client::client::{
    Chat, ChatRequest, ChatStatus, Client, ConversationOptions, Session, Timeouts, UsageQuery,
};
use behest_client::testing::{Chunk, FUNCTION, Reply, World, access_token, default_reply, delta, finish, text};
use behest_client::{Error, Reason};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};

/// A waker that only counts how often it is kept.
fn counted() -> (Arc<impl Wake>, Waker) {
    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    let waker = Arc::new(Nothing);
    (waker.clone(), waker.into())
}

type Begin = fn(Client) -> BoxFuture<'static, Result<(), Error>>;

const CALLS: [(&str, Begin); 6] = [
    ("ask", |client| async move { client.ask("Hi!").await.map(drop) }.boxed()),
    ("chat", |client| async move { client.chat(&ChatRequest::user("Hi!")).await.map(drop) }.boxed()),
    ("stream", |client| {
        async move {
            let mut stream = client.chat_stream(&ChatRequest::user("Hi!")).await?;
            while let Some(chunk) = stream.next().await {
                chunk?;
            }
            Ok(())
        }
        .boxed()
    }),
    ("threads", |client| async move { client.threads().await.map(drop) }.boxed()),
    ("usage", |client| async move { client.usage(&UsageQuery::new()).await.map(drop) }.boxed()),
    ("a conversation's", |client| async move { client.conversation(ConversationOptions::new())?.warm().await }.boxed()),
];

/// A world in which everything takes a while, in small pieces.
fn slow_world() -> World {
    let world = World::new();
    world.sessions_take(Duration::from_secs(1));
    world.serve(|request, log| {
        let second = Chunk::Wait(Duration::from_secs(1));
        let is_stream = request.body.as_deref().is_some_and(|body| body.contains("\"stream\":true"));
        match request.url == FUNCTION || !is_stream {
            true => default_reply(request, log).delayed(Duration::from_secs(1)),
            false => Reply::stream([
                second.clone(),
                text(delta("Hel")),
                second.clone(),
                text(delta("lo")),
                second,
                text(finish("stop")),
            ]),
        }
    });
    world
}

#[test]
fn a_call_may_be_dropped_after_any_of_its_polls() {
    for (name, begin) in CALLS {
        for polls in 0.. {
            let world = slow_world();
            let client = world.client();
            let (kept, waker) = counted();
            let mut call = begin(client.clone());
            let mut done = false;
            for _ in 0..polls {
                // The others who wait for the same make the time pass.
                done = call.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
                if done {
                    break;
                }
                world.run(world.sleep(Duration::from_millis(300)));
            }
            drop(call);
            drop(waker);
            assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello", "{name} after {polls} polls");
            // Whatever was under way for the other has an end, too.
            world.run(world.sleep(Duration::from_secs(60)));
            assert_eq!(Arc::strong_count(&kept), 1, "{name} after {polls} polls: its task is kept");
            world.log(|log| assert_eq!(log.mints_open, 0, "{name} after {polls} polls"));
            if done {
                break;
            }
            assert!(polls < 100, "{name} never ends");
        }
    }
}

#[test]
fn a_session_source_that_hangs_is_let_go_of_at_its_limit() {
    let world = World::new();
    let kept = Arc::new(());
    let of_source = kept.clone();
    let client = world.builder().session(move || {
        let kept = of_source.clone();
        async move {
            std::future::pending::<()>().await;
            drop(kept);
            Ok(None)
        }
    });
    let client = client.build().unwrap();
    for _ in 0..3 {
        assert_eq!(world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SessionTimeout);
    }
    world.run(world.sleep(Duration::from_secs(1)));
    assert_eq!(Arc::strong_count(&kept), 2, "what nobody waits for is kept");
}

/// As the last waker of a task of some executors does, this one drops what the task held.
#[test]
fn a_task_that_goes_with_its_last_waker_may_hold_a_conversation() {
    struct Task(Mutex<Option<Client>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Task {
        fn drop(&mut self) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let world = World::new();
    world.sessions_take(Duration::from_secs(1));
    let client = world.client();
    let held = client.conversation(ConversationOptions::new()).unwrap();
    let waker = Waker::from(Arc::new(Task(Mutex::new(Some(held)))));
    let mut asking = pin!(client.ask("Hi!"));
    assert!(asking.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    // Another task goes on with it.
    assert_eq!(world.run(asking).unwrap(), "Hello");
}

#[test]
fn waiting_for_a_conversation_keeps_one_waker_however_often_it_is_polled() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::hang(),
    });
    let chat = Chat::new(&world.client(), |_| {});
    assert!(chat.send("Hi!"));
    let (kept, waker) = counted();
    for _ in 0..100 {
        let idle = pin!(chat.idle());
        assert!(idle.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&kept), 3);
    chat.stop();
    assert_eq!(Arc::strong_count(&kept), 2);
}

#[test]
fn a_panic_in_one_callback_keeps_the_news_from_nobody() {
    let world = World::new();
    let session = Session::new();
    session.set(Some(access_token("user-1", "login-1")));
    let client = || world.builder().session(session.clone()).build().unwrap();
    let (first, second) = (client(), client());
    world.run(first.warm()).unwrap();
    world.run(second.warm()).unwrap();
    let panics = Chat::new(&first, |state| assert!(!state.messages.is_empty(), "a defect of the application"));
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let chat = Chat::new(&first, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    assert!(panics.send("Hi!") && chat.send("Hi!"));
    world.run(chat.idle());
    told.store(0, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| session.set(None))).is_err());
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert_eq!((first.token_info(), second.token_info()), (None, None));
    assert_eq!(world.run(second.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
}

#[test]
fn a_function_that_always_panics_ends_its_turn_and_not_the_program() {
    let world = World::new();
    let chat = Chat::new(&world.client(), |_| panic!("a defect of the application"));
    assert!(catch_unwind(AssertUnwindSafe(|| chat.send("Hi!"))).is_err());
    world.run(chat.idle());
    assert_eq!(chat.state().status, ChatStatus::Error);
}

/// A world whose gateway thinks for half a minute before the first byte.
struct Thinking(World);

impl Transport for Thinking {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, Failure>> {
        let (pause, answer) = (self.0.sleep(Duration::from_secs(30)), self.0.send(request));
        Box::pin(async move {
            pause.await;
            answer.await
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

#[test]
fn what_came_while_everything_slept_is_no_timeout() {
    let (world, minted) = (World::new(), Timeouts::default().token(Duration::from_secs(60)));
    let client = world.builder().transport(Thinking(world.clone())).timeouts(minted).build().unwrap();
    world.run(client.warm()).unwrap();
    let mut asking = pin!(client.ask("Hi!"));
    assert!(world.poll_once(asking.as_mut()).is_pending());
    // A page that is frozen, a process that is stopped: the answer comes, and the limit passes.
    world.pass(400);
    assert_eq!(world.run(asking).unwrap(), "Hello");

    world.serve(|_, _| Reply::hang());
    let mut asking = pin!(client.ask("Hi!"));
    assert!(world.poll_once(asking.as_mut()).is_pending());
    world.pass(200);
    let began = world.seconds();
    assert_eq!(world.run(asking).unwrap_err().reason(), Reason::Timeout);
    assert_eq!(world.seconds() - began, 0.5);
}
