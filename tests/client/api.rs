//! What programs see of the types beside their work: `Debug`, sources, and the error of a program without a runtime.

use std::error::Error as _;

use behest_client::client::{AbortHandle, Chat, ChatChunk, ChatRequest, ChatState, Client, Models, Session};
use behest_client::testing::{Reply, World, access_token, default_reply};
use behest_client::{Error, Reason};
use futures_util::StreamExt as _;

use crate::test;

const PROMPT: &str = "a question nobody may read";

#[test]
fn debug_of_an_error_shows_what_to_do_as_main_prints_it() {
    let world = World::new();
    world.signed_out();
    let error = world.run(world.client().ask(PROMPT)).unwrap_err();
    let shown = format!("{error:?}");
    assert!(shown.contains("signed_out") && shown.contains(error.hint()), "{shown}");
    assert!(error.to_string().ends_with(error.hint()), "{error}");
}

#[test]
fn an_error_names_what_led_to_it() {
    let world = World::new();
    world.serve(|request, log| match request.url.ends_with("/v1/models") {
        true => Reply::json(200, r#"{"data":7}"#),
        false => default_reply(request, log),
    });
    let reply = world.run(world.client().models()).unwrap();
    let error = reply.parse::<Models>().unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidResponse);
    assert!(error.source().unwrap().to_string().contains("line 1"), "{:?}", error.source());
}

#[test]
fn debug_of_clients_and_streams_shows_no_secret_and_no_text() {
    let world = World::new();
    let token = access_token("user-1", "login-1");
    let session = Session::new();
    session.set(Some(token.clone()));
    let builder = Client::builder("https://g.example").api_key("sb_publishable_x").session(session.clone());
    let mut shown = vec![format!("{builder:?}"), format!("{session:?}")];
    let client = world.client();
    let request = ChatRequest::user(PROMPT);
    let mut stream = world.run(client.chat_stream(&request)).unwrap();
    let raw = world.run(client.chat_stream_json(r#"{"stream":true}"#.to_owned())).unwrap();
    let typed = world.run(client.chat_stream_as::<_, ChatChunk>(&request)).unwrap();
    shown.extend([
        format!("{raw:?}"),
        format!("{typed:?}"),
        format!("{:?}", stream.abort_handle()),
        format!("{client:?}"),
    ]);
    while world.run(stream.next()).is_some() {}
    assert!(format!("{raw:?}").contains("RawStream") && format!("{stream:?}").contains("Complete"), "{stream:?}");
    for shown in shown {
        for secret in [PROMPT, token.expose(), "token-1", "sb_publishable_x"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_program_without_a_runtime_is_told_that_it_needs_one() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    let client = Client::builder("http://127.0.0.1:9").token_url("http://127.0.0.1:9/token");
    let client = client.session(access_token("user-1", "login-1")).build().unwrap();
    let Poll::Ready(asked) = pin!(client.ask(PROMPT)).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits for a runtime that never comes")
    };
    let error = asked.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidConfig);
    assert!(error.message().contains("tokio") && error.hint().contains("#[tokio::main]"), "{error}");
}

#[test]
fn the_builder_tells_every_problem_at_once_in_rusts_own_names() {
    let error = Client::builder("g.example").function("p.example", "a/b").api_key("sb_secret_x").build().unwrap_err();
    for name in ["`Client::builder`", "`function`", "`api_key`", "`session`"] {
        assert!(error.message().contains(name), "{name}: {error}");
    }
    assert!(!error.to_string().contains("sb_secret_x"), "{error}");
}

/// What contexts and signals of user interfaces ask for, on every target.
#[test]
fn what_an_application_passes_around_is_send_sync_and_clone() {
    fn shared<T: Send + Sync + Clone + Unpin + std::fmt::Debug + 'static>() {}
    shared::<Client>();
    shared::<Session>();
    shared::<Chat>();
    shared::<ChatState>();
    shared::<AbortHandle>();
    shared::<Error>();
}
