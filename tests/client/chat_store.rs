//! `Chat`: what a page follows.

use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use behest_client::client::{Chat, ChatRequest, ChatState, ChatStatus, Message, Outcome};
use behest_client::testing::{Chunk, FUNCTION, Reply, World, access_token, default_reply, delta, finish, header, text};
use behest_client::{Error, Reason};
use serde_json::Value;

use crate::test;

type Told = Arc<Mutex<Vec<ChatState>>>;

fn chat(world: &World) -> (Chat, Told) {
    let told = Told::default();
    let listener = told.clone();
    (Chat::new(&world.client(), move |state| listener.lock().unwrap().push(state.clone())), told)
}

fn statuses(told: &Told) -> Vec<ChatStatus> {
    told.lock().unwrap().iter().map(|state| state.status).collect()
}

fn texts(state: &ChatState) -> Vec<String> {
    state.messages.iter().map(|message| message.text.clone()).collect()
}

/// The texts of the messages that the last chat request held.
fn sent(world: &World) -> Vec<String> {
    let body = world.log(|log| log.requests.iter().rev().find_map(|request| request.body.clone())).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    body["messages"].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

/// Gateway answers that begin and never end.
fn stalls(world: &World) {
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::stream([text(delta("Hel")), Chunk::Stall]),
    });
}

/// Until the answer is coming: one job wakes another, so all are polled until then.
fn settle(world: &World, chat: &Chat) {
    for _ in 0..20 {
        assert!(world.poll_once(std::pin::pin!(chat.idle())).is_pending());
        if chat.state().status == ChatStatus::Streaming {
            return;
        }
    }
    panic!("the answer never comes");
}

#[test]
fn a_turn_is_told_from_the_question_to_the_end() {
    let world = World::new();
    let (chat, told) = chat(&world);
    assert!(chat.send(" Hi! "));
    assert!(!chat.send("Too early") && !chat.regenerate() && !chat.send(""));
    world.run(chat.idle());
    use ChatStatus::{Ready, Streaming, Submitted};
    assert_eq!(statuses(&told), [Submitted, Streaming, Ready]);
    assert_eq!(
        (texts(&chat.state()), chat.state().outcome),
        (vec!["Hi!".to_owned(), "Hello".to_owned()], Some(Outcome::Complete))
    );
    assert_eq!(told.lock().unwrap().last().unwrap(), &chat.state());
    assert!(chat.send("And?"));
    world.run(chat.idle());
    assert_eq!(sent(&world), ["Hi!", "Hello", "And?"]);
    let sessions = world.log(|log| {
        log.requests.iter().filter_map(|request| header(request, "x-session-id").map(str::to_owned)).collect::<Vec<_>>()
    });
    assert!(sessions.len() == 2 && sessions[0] == sessions[1], "{sessions:?}");
}

#[test]
fn a_request_to_begin_with_counts_for_every_turn() {
    let world = World::new();
    let request = ChatRequest::new([Message::system("Be brief.")]).with("temperature", 0.5);
    let chat = Chat::from_request(&world.client(), request, |_| {});
    chat.send("Hi!");
    world.run(chat.idle());
    assert_eq!((sent(&world), texts(&chat.state()).len()), (vec!["Be brief.".to_owned(), "Hi!".to_owned()], 2));
    let body = world.log(|log| log.requests.last().unwrap().body.clone()).unwrap();
    assert!(body.contains(r#""temperature":0.5"#), "{body}");
}

#[test]
fn stop_keeps_the_text_and_reaches_the_wire() {
    let world = World::new();
    stalls(&world);
    let (chat, told) = chat(&world);
    chat.send("Hi!");
    settle(&world, &chat);
    chat.stop();
    assert_eq!((chat.state().status, chat.state().outcome), (ChatStatus::Ready, Some(Outcome::Aborted)));
    assert_eq!(texts(&chat.state()), ["Hi!", "Hel"]);
    world.run(chat.idle());
    world.serve(default_reply);
    assert!(chat.regenerate());
    world.run(chat.idle());
    assert_eq!(texts(&chat.state()), ["Hi!", "Hello"]);
    world.log(|log| assert_eq!(log.cancelled, 1));
    assert!(told.lock().unwrap().iter().all(|state| state.error.is_none()));
}

#[test]
fn with_its_last_clone_the_answer_is_cancelled() {
    let world = World::new();
    stalls(&world);
    let (chat, told) = chat(&world);
    chat.send("Hi!");
    settle(&world, &chat);
    let clone = chat.clone();
    assert_eq!(chat, clone);
    drop(chat);
    world.log(|log| assert_eq!(log.cancelled, 0));
    let before = told.lock().unwrap().len();
    drop(clone);
    // What runs by itself hears of it.
    assert_eq!(world.poll_once(std::pin::pin!(std::future::ready(()))), Poll::Ready(()));
    world.log(|log| assert_eq!(log.cancelled, 1));
    assert_eq!(told.lock().unwrap().len(), before, "nobody is told of a conversation that is gone");
}

#[test]
fn what_belongs_to_a_user_who_left_is_cleared() {
    let world = World::new();
    let told = Told::default();
    let listener = told.clone();
    let client = world.client();
    let chat = Chat::new(&client, move |state| listener.lock().unwrap().push(state.clone()));
    chat.send("Mine");
    world.run(chat.idle());
    let session = |place: usize| {
        world.log(|log| {
            log.requests.iter().filter_map(|request| header(request, "x-session-id").map(str::to_owned)).nth(place)
        })
    };
    stalls(&world);
    chat.send("More");
    settle(&world, &chat);
    world.signed_in("user-2", "login-2");
    client.session_changed(Some(&access_token("user-2", "login-2")));
    assert_eq!(chat.state().messages.len(), 0);
    assert_eq!((told.lock().unwrap().last().unwrap().status, chat.state().error), (ChatStatus::Ready, None));
    world.serve(default_reply);
    assert!(chat.send("Whose?"));
    world.run(chat.idle());
    assert_eq!(
        (sent(&world), texts(&chat.state())),
        (vec!["Whose?".to_owned()], vec!["Whose?".to_owned(), "Hello".to_owned()])
    );
    assert_ne!(session(0), session(2));
}

#[test]
fn a_thread_is_fetched_and_sent_only_what_is_new() {
    let world = World::new();
    world.serve(|request, log| match request.url.ends_with("/v1/threads/t%201/messages") {
        true => Reply::json(200, r#"[{"role":"user","content":"Hi!"},{"role":"assistant","content":"Hello"}]"#),
        false => default_reply(request, log),
    });
    let (chat, told) = chat(&world);
    chat.set_thread(Some("t 1"));
    assert!(chat.state().loading && !chat.send("Too early"));
    world.run(chat.idle());
    assert_eq!(texts(&chat.state()), ["Hi!", "Hello"]);
    assert_eq!(told.lock().unwrap().len(), 2);
    chat.send("And?");
    world.run(chat.idle());
    assert_eq!(sent(&world), ["And?"]);
    world.log(|log| assert_eq!(header(log.requests.last().unwrap(), "x-thread-id"), Some("t 1")));
    chat.set_thread(None);
    assert_eq!((chat.state().messages.len(), chat.state().thread_id), (0, None));
}

#[test]
fn an_answer_to_a_conversation_that_was_cleared_is_of_no_account() {
    let world = World::new();
    stalls(&world);
    let (chat, _) = chat(&world);
    chat.send("Hi!");
    settle(&world, &chat);
    chat.clear();
    world.serve(default_reply);
    chat.send("Anew");
    world.run(chat.idle());
    assert_eq!(texts(&chat.state()), ["Anew", "Hello"]);
}

#[test]
fn a_failure_is_told_and_can_be_repeated() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::stream([text(delta("Hel")), Chunk::Cut]),
    });
    let (chat, told) = chat(&world);
    chat.send("Hi!");
    world.run(chat.idle());
    let state = chat.state();
    assert_eq!((state.status, state.error.unwrap().reason()), (ChatStatus::Error, Reason::Disconnected));
    assert_eq!(state.messages[1].outcome, Some(Outcome::Disconnected));
    world.serve(default_reply);
    let question = state.messages[0].id;
    assert!(chat.edit(question, "Hi again!"));
    world.run(chat.idle());
    assert_eq!(
        (texts(&chat.state()), sent(&world)),
        (vec!["Hi again!".to_owned(), "Hello".to_owned()], vec!["Hi again!".to_owned()])
    );
    assert_eq!(told.lock().unwrap().last().unwrap().error, None);
}

#[test]
fn many_events_are_told_a_few_times() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => {
            let wait = || Chunk::Wait(Duration::from_millis(4));
            let words = (0..100).flat_map(|_| [text(delta("ab").repeat(10)), wait()]);
            Reply::stream(words.chain([text(finish("stop"))]))
        }
    });
    let (chat, told) = chat(&world);
    chat.send("Hi!");
    world.run(chat.idle());
    assert_eq!(chat.state().messages[1].text.len(), 2000);
    // 400 ms are 25 frames of 16 ms.
    let times = told.lock().unwrap().len();
    assert!((20..=30).contains(&times), "{times}");
}

#[test]
fn changes_from_within_are_told_in_order() {
    let world = World::new();
    let (this, told): (Arc<OnceLock<Chat>>, Told) = Default::default();
    let (myself, listener) = (this.clone(), told.clone());
    let chat = Chat::new(&world.client(), move |state| {
        listener.lock().unwrap().push(state.clone());
        if state.status == ChatStatus::Ready && state.messages.len() == 2 {
            assert!(myself.get().unwrap().send("And?"));
        }
    });
    this.set(chat.clone()).unwrap();
    chat.send("Hi!");
    world.run(chat.idle());
    use ChatStatus::{Ready, Streaming, Submitted};
    assert_eq!(statuses(&told), [Submitted, Streaming, Ready, Submitted, Streaming, Ready]);
}

#[test]
fn nobody_signed_in_is_an_error_of_the_conversation() {
    let world = World::new();
    world.signed_out();
    let (chat, _) = chat(&world);
    chat.send("Hi!");
    world.run(chat.idle());
    assert_eq!(chat.state().error.as_ref().map(Error::reason), Some(Reason::SignedOut));
    assert_eq!(texts(&chat.state()), ["Hi!"]);
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn outside_a_runtime_the_turn_fails_and_says_so() {
    let client = behest_client::Client::builder("http://127.0.0.1:1").function("http://127.0.0.1:1", "f");
    let client = client.session(behest_client::Secret::from("token")).build().unwrap();
    let chat = Chat::new(&client, |_| {});
    assert!(chat.send("Hi!"));
    let error = chat.state().error.unwrap();
    assert!(error.reason() == Reason::InvalidConfig && error.hint().contains("tokio"), "{error}");
}
