//! When a call is repeated, and after how long.

use behest_client::Reason;
use behest_client::client::ChatRequest;
use futures_util::StreamExt;

use crate::test;
use behest_client::testing::{Chunk, FUNCTION, Reply, World, default_reply, delta, text};

/// The gateway fails like this until it has been asked `times` times.
fn gateway_fails(times: usize, failure: impl Fn() -> Reply + Send + 'static) -> World {
    let world = World::new();
    world.serve(move |request, log| match request.url == FUNCTION || log.chats() > times {
        true => default_reply(request, log),
        false => failure(),
    });
    world
}

#[test]
fn passing_failures_are_retried_twice() {
    let failures: [(&str, fn() -> Reply); 7] = [
        ("no connection", || Reply::refused("connection refused")),
        ("408", || Reply::json(408, "{}")),
        ("409", || Reply::json(409, "{}")),
        ("429", || Reply::json(429, r#"{"error":{"code":"rate_limited"}}"#)),
        ("500", || Reply::json(500, "{}")),
        ("502", || Reply::bytes(502, "text/html", [b"<html>".to_vec()])),
        ("503", || Reply::json(503, "")),
    ];
    for (what, failure) in failures {
        let world = gateway_fails(2, failure);
        assert_eq!(world.run(world.client().ask("Hi!")).unwrap(), "Hello", "{what}");
        world.log(|log| assert_eq!((log.chats(), log.mints()), (3, 1), "{what}"));
        let world = gateway_fails(3, failure);
        assert!(world.run(world.client().ask("Hi!")).is_err(), "{what}");
        world.log(|log| assert_eq!(log.chats(), 3, "{what}"));
    }
}

/// Nobody has seen a part of a token reply: one that breaks off is asked for again, as one that never came.
#[test]
fn a_mint_whose_reply_breaks_off_is_asked_for_again() {
    let breaking = |times: usize| {
        let world = World::new();
        world.serve(move |request, log| match request.url == FUNCTION && log.mints() <= times {
            true => Reply::stream([text(r#"{"token":"#), Chunk::Cut]),
            false => default_reply(request, log),
        });
        world
    };
    let world = breaking(2);
    assert_eq!(world.run(world.client().ask("Hi!")).unwrap(), "Hello");
    world.log(|log| assert_eq!((log.mints(), log.chats()), (3, 1)));
    let world = breaking(3);
    let error = world.run(world.client().ask("Hi!")).unwrap_err();
    assert_eq!(error.reason(), Reason::Network);
    assert!(error.message().contains("the token function's reply broke off"), "{error}");
    world.log(|log| assert_eq!((log.mints(), log.chats()), (3, 0)));
}

#[test]
fn final_failures_are_not() {
    let failures: [(&str, fn() -> Reply); 9] = [
        ("400", || Reply::json(400, "{}")),
        ("402", || Reply::json(402, "{}")),
        ("403", || Reply::json(403, "{}")),
        ("404", || Reply::json(404, "{}")),
        ("422", || Reply::json(422, "{}")),
        ("451", || Reply::json(451, "{}")),
        ("quota", || Reply::json(429, r#"{"error":{"code":"insufficient_quota","message":"spent"}}"#)),
        ("budget", || Reply::json(429, r#"{"error":"spent","code":"budget_exceeded"}"#)),
        ("a long wait", || Reply::json(429, "{}").header("retry-after", "3600")),
    ];
    for (what, failure) in failures {
        let world = gateway_fails(1, failure);
        assert!(world.run(world.client().ask("Hi!")).is_err(), "{what}");
        world.log(|log| assert_eq!(log.chats(), 1, "{what}"));
        assert_eq!(world.seconds(), 0.0, "{what}");
    }
}

#[test]
fn the_servers_wait_is_obeyed_in_every_form() {
    // The world's clock begins at 2026-09-21T14:13:20Z.
    let cases = [
        ("2", 2.0),
        ("1.5", 1.5),
        ("0", 0.0),
        (" 3 ", 3.0),
        ("Mon, 21 Sep 2026 14:13:27 GMT", 7.0),
        ("Mon, 21 Sep 2020 13:33:27 GMT", 0.0),
    ];
    for (value, seconds) in cases {
        for status in [429, 500, 503] {
            let world = gateway_fails(1, move || Reply::json(status, "{}").header("retry-after", value));
            world.run(world.client().ask("Hi!")).unwrap();
            assert_eq!(world.seconds(), seconds, "{status} {value}");
        }
    }
    let world = gateway_fails(1, || Reply::json(429, r#"{"error":{"code":"rate_limited"},"retry_after":4}"#));
    world.run(world.client().ask("Hi!")).unwrap();
    assert_eq!(world.seconds(), 4.0, "in the body");
}

#[test]
fn the_wait_asked_for_is_told_when_it_is_too_long() {
    for (value, seconds) in [("120", Some(120)), ("soon", None), ("-1", None), ("1e9", None), ("", None)] {
        let world = gateway_fails(9, move || Reply::json(429, "{}").header("retry-after", value));
        let error = world.run(world.client().ask("Hi!")).unwrap_err();
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), seconds, "{value}");
    }
}

#[test]
fn the_number_of_retries_is_an_option() {
    let world = gateway_fails(9, || Reply::json(500, "{}"));
    let client = world.builder().max_retries(5).build().unwrap();
    assert!(world.run(client.ask("Hi!")).is_err());
    world.log(|log| assert_eq!(log.chats(), 6));
    let world = gateway_fails(9, || Reply::json(500, "{}"));
    let client = world.builder().max_retries(0).build().unwrap();
    assert!(world.run(client.ask("Hi!")).is_err());
    world.log(|log| assert_eq!(log.chats(), 1));
}

#[test]
fn back_off_is_spread_and_bounded() {
    let mut waits = vec![];
    for _ in 0..2 {
        let world = gateway_fails(2, || Reply::json(500, "{}"));
        let client = world.client();
        world.run(client.ask("Hi!")).unwrap();
        world.run(client.ask("Hi!")).unwrap();
        waits.push(world.seconds());
    }
    assert!(waits.iter().all(|wait| *wait <= 1.5), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > 0.0), "{waits:?}");
}

#[test]
fn the_function_is_retried_too() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION && log.mints() <= 2 {
        true => Reply::json(503, "{}"),
        false => default_reply(request, log),
    });
    world.run(world.client().ask("Hi!")).unwrap();
    world.log(|log| assert_eq!((log.session_reads, log.mints()), (1, 3)));
}

#[test]
fn nothing_is_repeated_once_a_byte_was_handed_out() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::stream([text(delta("Hi")), Chunk::Cut]),
    });
    let client = world.client();
    let mut stream = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
    world.run(stream.next()).unwrap().unwrap();
    assert_eq!(world.run(stream.next()).unwrap().unwrap_err().reason(), Reason::Disconnected);
    assert!(world.run(stream.next()).is_none());
    world.log(|log| assert_eq!(log.chats(), 1));
}

/// Its caller sleeps while somebody else's task reads the session and sends it: the caller has to hear of its limit.
#[test]
fn a_call_that_another_task_sends_keeps_its_limit() {
    let world = World::new();
    let client = world.client();
    world.run(client.ask("one")).unwrap();
    world.serve(|request, log| if request.url == FUNCTION { default_reply(request, log) } else { Reply::hang() });
    let before = world.seconds();
    let error = world.run(client.ask("two")).unwrap_err();
    assert_eq!((error.reason(), world.seconds() - before), (Reason::Timeout, 120.0));
}
