//! Tools of a `Chat` that run by themselves.

use std::sync::{Arc, Mutex};

use behest_client::client::{Chat, ChatRequest, ChatState, ChatStatus, Outcome, Tools};
use behest_client::testing::{Chunk, FUNCTION, Reply, World, default_reply, delta, event, finish, text};
use behest_client::{Error, Reason};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::test;

#[derive(Deserialize)]
struct Place {
    city: String,
}

fn tools() -> Tools {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    Tools::new()
        .add("weather", "The weather of a city.", parameters.clone(), |Place { city }| async move {
            match &*city {
                "Atlantis" => Err(Error::new(Reason::NotFound, "it is under water")),
                _ => Ok(json!({"city": city, "celsius": 21})),
            }
        })
        .add("time", "What time it is.", json!({"type": "object"}), |_: Value| async { Ok::<_, Error>("noon") })
}

/// A stream that calls these tools: id, name, arguments.
fn calls(calls: &[(&str, &str, &str)]) -> Reply {
    let call = |(index, (id, name, arguments)): (usize, &(&str, &str, &str))| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls: Vec<_> = calls.iter().enumerate().map(call).collect();
    let delta = json!({"choices": [{"index": 0, "delta": {"content": null, "tool_calls": calls}}]});
    Reply::stream([text(event(&delta)), text(finish("tool_calls"))])
}

/// The gateway calls these tools until it has been answered, then says "Done".
fn answers(world: &World, called: &'static [(&'static str, &'static str, &'static str)]) {
    world.serve(move |request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false if log.chats() == 1 => calls(called),
        false => Reply::stream([text(delta("Done")), text(finish("stop"))]),
    });
}

fn sent(world: &World) -> Value {
    let body = world.log(|log| log.requests.last().unwrap().body.clone()).unwrap();
    serde_json::from_str(&body).unwrap()
}

#[test]
fn the_model_is_told_what_its_tools_gave_and_goes_on() {
    let world = World::new();
    answers(
        &world,
        &[
            ("1", "weather", r#"{"city":"Oslo"}"#),
            ("2", "time", ""),
            ("3", "weather", r#"{"city":"Atlantis"}"#),
            ("4", "weather", r#"{"town":"#),
            ("5", "sorcery", "{}"),
        ],
    );
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = told.clone();
    let changed = move |state: &ChatState| listener.lock().unwrap().push(state.status);
    let chat = Chat::with_tools(&world.client(), ChatRequest::new([]).with("temperature", 0), tools(), changed);
    chat.send("How is the weather?");
    world.run(chat.idle());

    let state = chat.state();
    let shown: Vec<_> = state.messages.iter().map(|message| (&*message.role, &*message.text)).collect();
    assert_eq!((shown.len(), shown[0], shown[7]), (8, ("user", "How is the weather?"), ("assistant", "Done")));
    assert_eq!((state.status, state.outcome), (ChatStatus::Ready, Some(Outcome::Complete)));
    assert_eq!(state.messages[1].outcome, Some(Outcome::ToolCalls));
    use ChatStatus::{Ready, Streaming, Submitted};
    let mut statuses = told.lock().unwrap().clone();
    statuses.dedup();
    assert_eq!(statuses, [Submitted, Streaming, Submitted, Streaming, Ready]);

    let body = sent(&world);
    let names: Vec<_> =
        body["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str()).collect();
    assert_eq!((names, &body["temperature"]), (vec![Some("weather"), Some("time")], &json!(0)));
    let messages = body["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[1]["content"]), (7, &Value::Null));
    assert_eq!(messages[1]["tool_calls"][0]["function"], json!({"name": "weather", "arguments": r#"{"city":"Oslo"}"#}));
    let told: Vec<_> = messages[2..].iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(serde_json::from_str::<Value>(told[0]).unwrap(), json!({"city": "Oslo", "celsius": 21}));
    assert_eq!(told[1], "noon");
    assert!(told[2].contains("it is under water") && told[2].starts_with(r#"{"error":"#), "{}", told[2]);
    assert!(told[3].contains("the arguments of weather do not fit"), "{}", told[3]);
    assert_eq!(told[4], r#"{"error":"there is no tool sorcery"}"#);
    for (message, id) in messages[2..].iter().zip(["1", "2", "3", "4", "5"]) {
        assert_eq!((&message["role"], &message["tool_call_id"]), (&json!("tool"), &json!(id)));
    }
}

#[test]
fn a_model_that_calls_tools_for_ever_is_stopped() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => calls(&[("1", "time", "{}")]),
    });
    let chat = Chat::with_tools(&world.client(), ChatRequest::new([]), tools().max_rounds(3), |_| {});
    chat.send("What time is it?");
    world.run(chat.idle());
    assert_eq!(chat.state().error.unwrap().reason(), Reason::BudgetExhausted);
    assert_eq!(world.log(behest_client::testing::Log::chats), 3);
}

#[test]
fn a_chat_without_tools_leaves_calls_to_the_application() {
    let world = World::new();
    answers(&world, &[("1", "time", "{}")]);
    let chat = Chat::new(&world.client(), |_| {});
    chat.send("What time is it?");
    world.run(chat.idle());
    assert_eq!((chat.state().outcome, world.log(|log| log.chats())), (Some(Outcome::ToolCalls), 1));
    assert_eq!(chat.state().messages[1].tool_calls[0].name, "time");
    // Nothing answered it: the model is told so, or it would refuse to go on.
    chat.send("Well?");
    world.run(chat.idle());
    assert_eq!(
        sent(&world)["messages"][2],
        json!({"role": "tool", "tool_call_id": "1", "content": r#"{"error":"it was stopped"}"#})
    );
}

#[test]
fn stop_ends_a_tool_that_runs() {
    let world = World::new();
    answers(&world, &[("1", "wait", "{}")]);
    let dropped = Arc::new(Mutex::new(false));
    struct Note(Arc<Mutex<bool>>);
    impl Drop for Note {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    let note = dropped.clone();
    let tools = Tools::new().add("wait", "Never ends.", json!({}), move |_: Value| {
        let note = Note(note.clone());
        async move {
            std::future::pending::<()>().await;
            drop(note);
            Ok::<_, Error>(())
        }
    });
    let chat = Chat::with_tools(&world.client(), ChatRequest::new([]), tools, |_| {});
    chat.send("Wait");
    for _ in 0..30 {
        assert!(world.poll_once(std::pin::pin!(chat.idle())).is_pending());
    }
    assert_eq!(chat.state().messages[1].outcome, Some(Outcome::ToolCalls));
    chat.stop();
    assert_eq!((chat.state().status, chat.state().outcome), (ChatStatus::Ready, Some(Outcome::Aborted)));
    world.run(chat.idle());
    let _ = world.poll_once(std::pin::pin!(chat.idle()));
    assert!(*dropped.lock().unwrap());
    assert_eq!(world.log(|log| log.chats()), 1);
}

#[test]
fn a_listener_that_stops_at_a_call_keeps_its_tool_from_running() {
    let world = World::new();
    answers(&world, &[("1", "time", "{}")]);
    let ran = Arc::new(Mutex::new(0));
    let count = ran.clone();
    let tools = Tools::new().add("time", "", json!({}), move |_: Value| {
        *count.lock().unwrap() += 1;
        async { Ok::<_, Error>(()) }
    });
    let own: Arc<Mutex<Option<Chat>>> = Arc::default();
    let stops = own.clone();
    let chat = Chat::with_tools(&world.client(), ChatRequest::new([]), tools, move |state| {
        if state.messages.last().is_some_and(|message| message.outcome == Some(Outcome::ToolCalls)) {
            let chat = stops.lock().unwrap().clone();
            chat.iter().for_each(Chat::stop);
        }
    });
    *own.lock().unwrap() = Some(chat.clone());
    chat.send("What time is it?");
    world.run(chat.idle());
    assert_eq!((chat.state().outcome, *ran.lock().unwrap()), (Some(Outcome::Aborted), 0));
    own.lock().unwrap().take();
}

#[test]
fn debug_shows_the_tools_by_name() {
    assert_eq!(format!("{:?}", tools()), r#"Tools { names: ["weather", "time"], max_rounds: 8 }"#);
}

#[test]
fn an_answer_that_breaks_off_runs_nothing() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => {
            let call = json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "1", "function": {"name": "time", "arguments": "{"}}]}}]});
            Reply::stream([text(event(&call)), Chunk::Cut])
        }
    });
    let chat = Chat::with_tools(&world.client(), ChatRequest::new([]), tools(), |_| {});
    chat.send("What time is it?");
    world.run(chat.idle());
    assert_eq!(chat.state().error.unwrap().reason(), Reason::Disconnected);
    assert_eq!(chat.state().messages.len(), 2);
}
