//! The token cache.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use behest_client::client::transport::Request;
use behest_client::client::{ConversationOptions, generate_session_id};
use behest_client::{Error, Reason};
use futures_util::future::join_all;

use crate::test;
use behest_client::testing::{FUNCTION, Reply, World, access_token, bundle, default_reply, header, jwt};

fn tokens_live(world: &World, ttl: u64) {
    world.serve(move |request, log| match request.url == FUNCTION {
        true => bundle(&format!("token-{}", log.mints()), ttl),
        false => default_reply(request, log),
    });
}

/// A call after `age` seconds: was a new token minted for it?
fn mints_again(ttl: u64, age: u64) -> bool {
    let world = World::new();
    tokens_live(&world, ttl);
    let client = world.client();
    world.run(client.ask("one")).unwrap();
    world.pass(age);
    world.run(client.ask("two")).unwrap();
    world.log(|log| log.mints()) == 2
}

/// The last chat request carried this token.
fn last_token(world: &World) -> String {
    let is_chat = |request: &&Request| request.url != FUNCTION;
    world.log(|log| header(log.requests.iter().rfind(is_chat).unwrap(), "authorization").unwrap().to_owned())
}

#[test]
fn a_hundred_calls_at_a_cold_cache_cost_one_session_read_and_one_mint() {
    let world = World::new();
    let client = world.client();
    let answers = world.run(join_all((0..100).map(|_| client.ask("Hi!"))));
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|text| text == "Hello")));
    world.log(|log| assert_eq!((log.session_reads, log.mints(), log.chats()), (1, 1, 100)));
}

#[test]
fn a_token_is_used_while_more_than_the_margin_is_left() {
    // (ttl, age, minted again). It is renewed in the background in the last quarter of the time up to twice the margin, at a
    // moment of its own, and then in any case.
    let cases = [
        (900, 0, false),
        (900, 584, false),
        (900, 780, true),
        (900, 839, true),
        (900, 840, true),
        (900, 5000, true),
        // Up to twice the margin, the margin is half the life, and nothing is renewed ahead.
        (120, 0, false),
        (120, 59, false),
        (120, 60, true),
        (60, 29, false),
        (60, 30, true),
        (10, 4, false),
        (10, 5, true),
        (1, 0, false),
        (1, 1, true),
        (121, 0, false),
        (121, 1, true),
    ];
    for (ttl, age, expected) in cases {
        assert_eq!(mints_again(ttl, age), expected, "ttl {ttl}, age {age}");
    }
}

#[test]
fn renewal_ahead_does_not_keep_the_caller_waiting() {
    let world = World::new();
    let client = world.client();
    world.run(client.ask("one")).unwrap();
    world.pass(800);
    world.run(client.ask("two")).unwrap();
    // The second call went out with the old token; the new one is there for the third.
    assert_eq!(last_token(&world), "Bearer token-1");
    world.run(client.ask("three")).unwrap();
    assert_eq!(last_token(&world), "Bearer token-2");
    world.log(|log| assert_eq!(log.mints(), 2));
}

#[test]
fn the_margin_is_an_option() {
    let world = World::new();
    let client = world.builder().margin(Duration::from_secs(300)).build().unwrap();
    world.run(client.ask("one")).unwrap();
    world.pass(600);
    world.run(client.ask("two")).unwrap();
    assert_eq!(last_token(&world), "Bearer token-2");
}

#[test]
fn age_counts_from_the_start_of_the_mint_request() {
    let world = World::new();
    let slow = world.clone();
    world.serve(move |request, log| {
        if request.url == FUNCTION {
            slow.pass(10);
            return bundle(&format!("token-{}", log.mints()), 900);
        }
        default_reply(request, log)
    });
    let client = world.client();
    world.run(client.warm()).unwrap();
    assert_eq!(client.token_info().unwrap().remaining.as_secs(), 890);
}

#[test]
fn no_clock_skew_and_no_jump_keeps_a_dead_token_alive() {
    // The machine slept: the monotonic clock stood still.
    let world = World::new();
    let client = world.client();
    world.run(client.warm()).unwrap();
    world.sleep_machine(900);
    assert_eq!(client.token_info(), None);
    // The wall clock was set back by a year while the token aged.
    let world = World::new();
    let client = world.client();
    world.run(client.warm()).unwrap();
    world.set_clock_back(365 * 86_400);
    world.pass(850);
    assert_eq!(client.token_info().unwrap().remaining.as_secs(), 50);
    world.run(client.ask("Hi!")).unwrap();
    world.log(|log| assert_eq!(log.mints(), 2));
}

#[test]
fn a_cancelled_leader_costs_the_others_nothing() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => bundle("token-1", 900).delayed(Duration::from_secs(1)),
        false => default_reply(request, log),
    });
    let client = world.client();
    {
        // The leader has read the session and asked the function; then it goes away, and a waiter too.
        let mut leader = pin!(client.warm());
        let mut waiter = pin!(client.warm());
        assert!(world.poll_once(leader.as_mut()).is_pending());
        assert!(world.poll_once(waiter.as_mut()).is_pending());
        world.log(|log| assert_eq!(log.mints(), 1));
    }
    world.run(client.ask("Hi!")).unwrap();
    world.log(|log| assert_eq!((log.mints(), log.cancelled), (1, 0)));
}

#[test]
fn callers_that_are_held_but_not_polled_block_nobody() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => bundle("token-1", 900).delayed(Duration::from_secs(1)),
        false => default_reply(request, log),
    });
    let client = world.client();
    // As in a `select!` whose other branch goes on: begun, kept, and not looked at again.
    let mut held: Vec<_> = (0..3).map(|_| Box::pin(client.ask("Hi!"))).collect();
    for call in &mut held {
        assert!(world.poll_once(call.as_mut()).is_pending());
    }
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
    for call in held {
        assert_eq!(world.run(call).unwrap(), "Hello");
    }
    world.log(|log| assert_eq!(log.mints(), 1));
}

#[test]
fn a_failed_mint_is_told_to_everyone_who_waited_and_not_repeated_at_once() {
    let world = World::new();
    world.serve(|_, _| Reply::json(403, r#"{"error":{"code":"forbidden","message":"no"}}"#));
    let client = world.client();
    let answers = world.run(join_all((0..100).map(|_| client.ask("Hi!"))));
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_err_and(|e| e.reason() == Reason::Forbidden && e.status() == Some(403)))
    );
    world.log(|log| assert_eq!((log.session_reads, log.mints(), log.chats()), (1, 1, 0)));
    // After the cool-down the next call tries again.
    world.pass(60);
    assert!(world.run(client.ask("Hi!")).is_err());
    world.log(|log| assert_eq!(log.mints(), 2));
}

#[test]
fn cool_downs_grow_to_half_a_minute_and_begin_anew_after_a_token_or_a_quiet_minute() {
    let world = World::new();
    let refuse = || world.serve(|_, _| Reply::json(403, "{}"));
    refuse();
    let client = world.client();
    let mints = || {
        assert!(world.run(client.ask("Hi!")).is_err());
        world.log(|log| log.mints())
    };
    let until_next_mint = || {
        let before = world.log(|log| log.mints());
        (1..).find(|_| {
            world.pass(1);
            mints() > before
        })
    };
    mints();
    let waits: Vec<u32> = (0..8).filter_map(|_| until_next_mint()).collect();
    assert!(waits[0] == 1 && waits.iter().all(|wait| *wait <= 30) && waits[7] >= 15, "{waits:?}");
    world.pass(61);
    mints();
    assert_eq!(until_next_mint(), Some(1));
    world.pass(3);
    tokens_live(&world, 1);
    assert!(world.run(client.ask("Hi!")).is_ok());
    world.pass(1);
    refuse();
    mints();
    assert_eq!(until_next_mint(), Some(1));
}

#[test]
fn a_mint_that_reached_nobody_needs_no_cool_down() {
    let world = World::new();
    world.serve(|_, _| Reply::refused("offline"));
    let client = world.client();
    for _ in 0..3 {
        assert_eq!(world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::Network);
    }
    world.serve(default_reply);
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
}

#[test]
fn a_sign_in_ends_the_cool_down() {
    let world = World::new();
    world.serve(|_, _| Reply::json(403, "{}"));
    let client = world.client();
    assert!(world.run(client.ask("Hi!")).is_err());
    world.serve(default_reply);
    assert!(world.run(client.ask("Hi!")).is_err(), "the failure is still replayed");
    client.session_changed(Some(&access_token("user-2", "login-1")));
    world.signed_in("user-2", "login-1");
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
}

#[test]
fn a_token_is_used_until_its_end_while_minting_fails() {
    let world = World::new();
    let client = world.client();
    world.run(client.warm()).unwrap();
    world.serve(|request, log| match request.url == FUNCTION {
        true => Reply::json(503, ""),
        false => default_reply(request, log),
    });
    world.pass(880);
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
    assert_eq!(last_token(&world), "Bearer token-1");
    world.pass(60);
    assert_eq!(world.run(client.ask("Hi!")).unwrap_err().status(), Some(503));
}

#[test]
fn a_refused_token_is_renewed_once_and_the_call_repeated() {
    let world = World::new();
    world.serve(|request, log| match header(request, "authorization") {
        Some("Bearer token-1") => Reply::json(401, r#"{"error":{"code":"invalid_token","message":"expired"}}"#),
        _ => default_reply(request, log),
    });
    let client = world.client();
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
    world.log(|log| assert_eq!((log.mints(), log.chats()), (2, 2)));
}

#[test]
fn a_second_refusal_is_final() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::json(401, r#"{"error":{"code":"invalid_token","message":"wrong project"}}"#),
    });
    let client = world.client();
    let error = world.run(client.ask("Hi!")).unwrap_err();
    assert_eq!((error.reason(), error.status()), (Reason::InvalidToken, Some(401)));
    world.log(|log| assert_eq!((log.mints(), log.chats()), (2, 2)));
}

#[test]
fn late_refusals_of_an_old_token_spare_the_new_one() {
    let world = World::new();
    world.serve(|request, log| match header(request, "authorization") {
        // The refusals come late, after all fifty calls went out with the first token.
        Some("Bearer token-1") => Reply::json(401, "{}").delayed(Duration::from_secs(1)),
        _ => default_reply(request, log),
    });
    let client = world.client();
    let answers = world.run(join_all((0..50).map(|_| client.ask("Hi!"))));
    assert!(answers.iter().all(Result::is_ok));
    world.log(|log| assert_eq!((log.mints(), log.chats()), (2, 100)));
}

#[test]
fn the_session_id_stays_while_tokens_rotate() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        // A function that ignores the wish and names a new session each time.
        true => Reply::json(
            200,
            format!(r#"{{"token":"t{0}","ttl":900,"sessionId":"session-{0}","expiresAt":1}}"#, log.mints()),
        ),
        false => default_reply(request, log),
    });
    let client = world.client();
    world.run(client.ask("one")).unwrap();
    world.pass(1000);
    world.run(client.ask("two")).unwrap();
    world.log(|log| {
        let ids: Vec<_> = log.requests.iter().filter_map(|request| header(request, "x-session-id")).collect();
        assert_eq!(ids, ["session-1", "session-1"]);
        // The first request leaves the choice to the function, the second asks to keep it.
        let bodies: Vec<_> = log.requests.iter().filter(|r| r.url == FUNCTION).map(|r| r.body.as_deref()).collect();
        assert_eq!(bodies, [None, Some(r#"{"session_id":"session-1"}"#)]);
    });
}

#[test]
fn a_conversation_has_a_session_of_its_own_and_a_thread() {
    let world = World::new();
    let client = world.client();
    let options = ConversationOptions::new().session_id("conv-7").thread_id("thread-9");
    let conversation = client.conversation(options).unwrap();
    world.run(conversation.ask("one")).unwrap();
    world.run(client.ask("two")).unwrap();
    world.log(|log| {
        let chats: Vec<_> = log.requests.iter().filter(|r| r.url != FUNCTION).collect();
        assert_eq!(
            (header(chats[0], "x-session-id"), header(chats[0], "x-thread-id")),
            (Some("conv-7"), Some("thread-9"))
        );
        assert_eq!((header(chats[1], "x-session-id"), header(chats[1], "x-thread-id")), (Some("session-1"), None));
        assert_eq!(log.requests[0].body.as_deref(), Some(r#"{"session_id":"conv-7"}"#));
    });
    for bad in ["", " x", "a\nb", "ü", &"x".repeat(256)] {
        let options = ConversationOptions::new().session_id(bad);
        assert_eq!(client.conversation(options).unwrap_err().reason(), Reason::InvalidConfig, "{bad:?}");
    }
}

#[test]
fn bundles_are_read_as_tolerantly_as_is_safe() {
    let signed = jwt(&serde_json::json!({"iat": 1000, "exp": 1300}));
    let cases: [(String, Result<u64, Reason>); 18] = [
        (r#"{"token":"t","ttl":900,"sessionId":"s","expiresAt":1}"#.into(), Ok(900)),
        (r#"{"access_token":"t","token_type":"Bearer","project_id":"p","expires_in":600}"#.into(), Ok(600)),
        (r#"{"jwt":"t","project_id":"p","ttl":300,"session_id":"s"}"#.into(), Ok(300)),
        (r#"{"token":"t","access_token":"u","ttl":900,"expires_in":900,"new":{"field":[1]}}"#.into(), Ok(900)),
        (r#"{"token":"t","ttl":900,"expires_in":"soon"}"#.into(), Ok(900)),
        (r#"{"token":"t","ttl":90.5}"#.into(), Ok(90)),
        (format!(r#"{{"token":"{signed}"}}"#), Ok(300)),
        (format!(r#"{{"token":"{signed}","ttl":900}}"#), Ok(300)),
        (r#"{"token":"t","expiresAt":1790000900}"#.into(), Err(Reason::InvalidBundle)),
        (r#"{"token":"t","ttl":"900"}"#.into(), Err(Reason::InvalidBundle)),
        (r#"{"token":"t","ttl":0}"#.into(), Err(Reason::InvalidBundle)),
        (r#"{"token":"t","ttl":-5}"#.into(), Err(Reason::InvalidBundle)),
        (r#"{"token":"t","ttl":1e300}"#.into(), Err(Reason::InvalidBundle)),
        (r#"{"token":"","ttl":900}"#.into(), Err(Reason::InvalidBundle)),
        (r#"{"token":"a\nb","ttl":900}"#.into(), Err(Reason::InvalidBundle)),
        (r#"["token"]"#.into(), Err(Reason::InvalidBundle)),
        ("<html>".into(), Err(Reason::InvalidBundle)),
        (String::new(), Err(Reason::InvalidBundle)),
    ];
    for (body, expected) in cases {
        let world = World::new();
        let reply = body.clone();
        world.serve(move |_, _| Reply::json(200, reply.clone()));
        let client = world.client();
        let got = world.run(client.warm()).map(|()| client.token_info().unwrap().ttl.as_secs());
        assert_eq!(got.as_ref().map_err(Error::reason), expected.as_ref().map_err(|reason| *reason), "{body}");
        assert!(got.as_ref().err().is_none_or(|error| error.status() == Some(200)), "{body}");
    }
}

#[test]
fn without_a_session_id_from_the_function_the_client_makes_one() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => Reply::json(200, r#"{"token":"t","ttl":900}"#),
        false => default_reply(request, log),
    });
    let client = world.client();
    world.run(client.ask("Hi!")).unwrap();
    let id = client.session_id().unwrap();
    assert!(is_uuid_v4(&id), "{id}");
    world.log(|log| assert_eq!(header(log.requests.last().unwrap(), "x-session-id"), Some(id.as_str())));
}

#[test]
fn session_ids_are_random_uuids() {
    let ids: HashSet<_> = (0..100).map(|_| generate_session_id()).collect();
    assert_eq!(ids.len(), 100);
    assert!(ids.iter().all(|id| is_uuid_v4(id)), "{ids:?}");
}

fn is_uuid_v4(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19])
}

#[test]
fn a_token_is_never_shown() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => bundle("very-secret-token", 900),
        false => {
            let _ = log;
            Reply::json(500, "{}")
        }
    });
    let client = world.builder().max_retries(0).build().unwrap();
    let error = world.run(client.ask("Hi!")).unwrap_err();
    let session = access_token("user-1", "login-1");
    let requests = world.log(|log| format!("{:?}", log.requests));
    let shown = format!("{client:?} {error:?} {error} {:?} {requests} {session:?}", client.token_info());
    assert!(!shown.contains("very-secret-token") && !shown.contains(session.expose().as_str()), "{shown}");
}
