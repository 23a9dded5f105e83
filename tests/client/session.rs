//! Whose token it is.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use behest_client::client::{ChatRequest, ConversationOptions, Outcome, UsageQuery};
use behest_client::wire::GATEWAY_REQUEST_HEADERS;
use behest_client::{Action, Error, Reason, Secret};
use futures_util::StreamExt;

use crate::test;
use behest_client::testing::{
    Chunk, FUNCTION, Reply, World, access_token, bundle, default_reply, delta, header, jwt, text,
};

/// Tokens named after the user whose session asked for them.
fn name_tokens_after_users(world: &World) {
    world.serve(|request, log| match request.url == FUNCTION {
        true => {
            let user = ["user-1", "user-2"].into_iter().find(|user| {
                header(request, "authorization")
                    .is_some_and(|value| value.ends_with(access_token(user, "login-1").expose()))
            });
            bundle(&format!("token-of-{}", user.unwrap_or("nobody")), 900)
        }
        false => default_reply(request, log),
    });
}

fn last_token(world: &World) -> String {
    world.log(|log| header(log.requests.last().unwrap(), "authorization").unwrap().to_owned())
}

#[test]
fn nobody_signed_in_is_a_local_error_and_sends_nothing() {
    let world = World::new();
    world.signed_out();
    let client = world.client();
    let error = world.run(client.ask("Hi!")).unwrap_err();
    assert_eq!((error.reason(), error.action(), error.status()), (Reason::SignedOut, Action::SignIn, None));
    world.log(|log| assert_eq!(log.requests.len(), 0));
    // No cool-down stands in the way of the sign-in that follows.
    world.signed_in("user-1", "login-1");
    assert!(world.run(client.ask("Hi!")).is_ok());
}

#[test]
fn the_session_goes_to_the_function_and_the_token_to_the_gateway() {
    let world = World::new();
    world.run(world.client().ask("Hi!")).unwrap();
    world.log(|log| {
        let [mint, chat] = &log.requests[..] else { panic!("two requests") };
        let session = format!("Bearer {}", access_token("user-1", "login-1").expose());
        assert_eq!((mint.method, mint.url.as_str()), ("POST", FUNCTION));
        // Nothing beyond what the documented function's CORS answer allows.
        assert_eq!(mint.headers, [("authorization", session)]);
        assert_eq!((chat.method, chat.url.as_str()), ("POST", "https://gateway.example/v1/chat/completions"));
        let names: Vec<_> = chat.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["authorization", "accept", "x-session-id", "content-type"]);
        assert_eq!(header(chat, "authorization"), Some("Bearer token-1"));
        assert_eq!(header(chat, "x-session-id"), Some("session-1"));
        assert_eq!(header(chat, "accept"), Some("application/json"));
    });
}

#[test]
fn every_call_carries_the_users_own_token_and_names_no_user() {
    let world = World::new();
    let client = world.client();
    world.run(client.ask("Hi!")).unwrap();
    let _ = world.run(client.threads());
    let _ = world.run(client.usage(&UsageQuery::default()));
    world.log(|log| {
        let calls: Vec<_> = log.requests.iter().filter(|request| request.url != FUNCTION).collect();
        assert!(calls.len() > 2 && log.mints() == 1);
        for call in calls {
            assert_eq!(header(call, "authorization"), Some("Bearer token-1"));
            assert!(!call.url.contains("user"), "{}", call.url);
        }
    });
}

#[test]
fn only_headers_that_the_documented_cors_answers_allow_are_sent() {
    let world = World::new();
    let options = ConversationOptions::new().thread_id("thread-1");
    let client = world.client().conversation(options).unwrap();
    world.run(client.ask("one")).unwrap();
    // The second mint asks to keep the session: it has a body.
    world.pass(1000);
    world.run(client.ask("two")).unwrap();
    world.log(|log| {
        for request in &log.requests {
            let allowed = match request.url == FUNCTION {
                true => "authorization, content-type",
                false => GATEWAY_REQUEST_HEADERS,
            };
            // `accept` needs no permission.
            let allows = |name| name == "accept" || allowed.split(", ").any(|allowed| allowed == name);
            assert!(request.headers.iter().all(|(name, _)| allows(*name)), "{:?}", request.headers);
        }
        assert!(log.requests.iter().any(|r| r.url == FUNCTION && header(r, "content-type").is_some()));
        assert!(log.requests.iter().any(|r| header(r, "x-thread-id").is_some()));
    });
}

#[test]
fn the_publishable_key_is_sent_only_when_asked_for() {
    let world = World::new();
    let client = world.builder().api_key("sb_publishable_x").build().unwrap();
    world.run(client.warm()).unwrap();
    world.log(|log| assert_eq!(header(&log.requests[0], "apikey"), Some("sb_publishable_x")));
}

#[test]
fn keys_and_nonsense_never_leave_as_a_bearer_token() {
    let service_role = jwt(&serde_json::json!({"role": "service_role"}));
    let anon = jwt(&serde_json::json!({"role": "anon", "iss": "supabase"}));
    let cases = [
        ("sb_publishable_abc", Reason::ApiKeyAsBearer),
        ("sb_secret_abc", Reason::ApiKeyAsBearer),
        ("behest_sk_live_abc", Reason::ApiKeyAsBearer),
        ("sk-abc", Reason::ApiKeyAsBearer),
        (service_role.as_str(), Reason::RoleRefused),
        (anon.as_str(), Reason::ApiKeyAsBearer),
        ("two words", Reason::MalformedToken),
        ("line\nbreak", Reason::MalformedToken),
    ];
    for (token, reason) in cases {
        let world = World::new();
        let secret = Secret::from(token);
        world.sessions(move || Ok(Some(secret.clone())));
        assert_eq!(world.run(world.client().ask("Hi!")).unwrap_err().reason(), reason, "{token}");
        world.log(|log| assert_eq!(log.requests.len(), 0, "{token}"));
    }
}

#[test]
fn a_session_source_that_fails_or_hangs_is_an_error_of_its_own() {
    let world = World::new();
    world.sessions(|| Err(Error::new(Reason::SessionFailed, "storage is locked")));
    let error = world.run(world.client().ask("Hi!")).unwrap_err();
    assert_eq!(error.reason(), Reason::SessionFailed);
    assert!(error.to_string().contains("storage is locked"));

    let world = World::new();
    let client = world.builder().session(std::future::pending::<Result<Option<Secret>, Error>>).build().unwrap();
    assert_eq!(world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SessionTimeout);
    assert_eq!(world.seconds(), 10.0);
}

#[test]
fn another_user_never_gets_the_first_ones_token() {
    let world = World::new();
    name_tokens_after_users(&world);
    let client = world.client();
    world.run(client.ask("Hi!")).unwrap();
    assert_eq!(last_token(&world), "Bearer token-of-user-1");
    let first_session = client.session_id();
    world.signed_in("user-2", "login-1");
    client.session_changed(Some(&access_token("user-2", "login-1")));
    assert_eq!(client.token_info(), None);
    world.run(client.ask("Hi!")).unwrap();
    assert_eq!(last_token(&world), "Bearer token-of-user-2");
    // The second user's request for a token does not mention the first one's session.
    world.log(|log| assert_eq!(log.requests.iter().rfind(|r| r.url == FUNCTION).unwrap().body, None));
    assert!(first_session.is_some());
}

#[test]
fn a_new_login_of_the_same_user_counts_as_another() {
    let world = World::new();
    let client = world.client();
    world.run(client.warm()).unwrap();
    client.session_changed(Some(&access_token("user-1", "login-2")));
    assert_eq!(client.token_info(), None);
}

#[test]
fn a_rotated_access_token_changes_nothing() {
    let world = World::new();
    let client = world.client();
    world.run(client.warm()).unwrap();
    let rotated = jwt(&serde_json::json!({"sub": "user-1", "session_id": "login-1", "iat": 7}));
    client.session_changed(Some(&Secret::new(rotated)));
    assert!(client.token_info().is_some());
    world.run(client.ask("Hi!")).unwrap();
    world.log(|log| assert_eq!(log.mints(), 1));
}

#[test]
fn a_user_switch_that_nobody_announced_is_noticed_at_the_next_mint() {
    let world = World::new();
    name_tokens_after_users(&world);
    let client = world.client();
    let conversation = client.conversation(Default::default()).unwrap();
    world.run(client.warm()).unwrap();
    world.run(conversation.warm()).unwrap();
    world.signed_in("user-2", "login-1");
    client.invalidate_token();
    world.run(client.warm()).unwrap();
    // The conversation's token is the first user's: gone too.
    assert_eq!(conversation.token_info(), None);
}

#[test]
fn signing_out_drops_the_token() {
    let world = World::new();
    let client = world.client();
    world.run(client.warm()).unwrap();
    world.signed_out();
    client.session_changed(None);
    assert_eq!(world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
    world.log(|log| assert_eq!(log.chats(), 0));
}

#[test]
fn a_mint_under_way_for_a_user_who_leaves_is_not_used() {
    let world = World::new();
    name_tokens_after_users(&world);
    let client = world.client();
    let (leaving, servers) = (client.clone(), world.clone());
    let mints = Arc::new(AtomicUsize::new(0));
    let count = mints.clone();
    world.serve(move |request, log| {
        if request.url != FUNCTION {
            return default_reply(request, log);
        }
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            // User 2 takes over while the function works on user 1's token.
            servers.signed_in("user-2", "login-1");
            leaving.session_changed(Some(&access_token("user-2", "login-1")));
            return bundle("token-of-user-1", 900);
        }
        bundle("token-of-user-2", 900)
    });
    assert_eq!(world.run(client.ask("a secret of user 1")).unwrap_err().reason(), Reason::UserChanged);
    world.log(|log| assert_eq!(log.chats(), 0));
    world.run(client.ask("Hi!")).unwrap();
    assert_eq!(last_token(&world), "Bearer token-of-user-2");
    assert_eq!(mints.load(Ordering::SeqCst), 2);
}

#[test]
fn a_sign_out_during_the_mint_wins() {
    let world = World::new();
    let client = world.client();
    let (leaving, servers) = (client.clone(), world.clone());
    world.serve(move |request, log| {
        if request.url == FUNCTION {
            servers.signed_out();
            leaving.session_changed(None);
        }
        default_reply(request, log)
    });
    assert_eq!(world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::UserChanged);
    assert_eq!(world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
    world.log(|log| assert_eq!(log.chats(), 0));
}

#[test]
fn a_sign_out_during_the_session_read_wins_too() {
    let world = World::new();
    world.sessions_take(Duration::from_secs(1));
    let client = world.client();
    {
        let mut call = pin!(client.ask("Hi!"));
        assert!(world.poll_once(call.as_mut()).is_pending());
        world.signed_out();
        client.session_changed(None);
        assert_eq!(world.run(call).unwrap_err().reason(), Reason::UserChanged);
    }
    assert_eq!(world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
    world.log(|log| assert_eq!(log.requests.len(), 0));
}

#[test]
fn the_session_id_of_a_user_who_left_is_neither_asked_for_nor_sent_again() {
    for announced in [true, false] {
        let world = World::new();
        world.serve(|request, log| match request.url == FUNCTION {
            true => Reply::json(200, format!(r#"{{"token":"t{0}","ttl":900,"sessionId":"s{0}"}}"#, log.mints())),
            false => default_reply(request, log),
        });
        let client = world.client();
        world.run(client.ask("Hi!")).unwrap();
        world.signed_in("user-2", "login-1");
        if announced {
            client.session_changed(Some(&access_token("user-2", "login-1")));
        } else {
            // It is found out when the next token is minted.
            world.pass(1000);
        }
        world.run(client.ask("Hi!")).unwrap();
        world.log(|log| {
            assert_eq!(log.requests[2].body, None);
            assert_eq!(header(&log.requests[3], "x-session-id"), Some("s2"));
        });
    }
}

#[test]
fn what_one_user_asked_is_never_repeated_in_the_name_of_the_next() {
    for status in [503, 401] {
        let world = World::new();
        let client = world.client();
        let (switching, servers) = (client.clone(), world.clone());
        world.serve(move |request, log| {
            if request.url == FUNCTION || log.chats() > 1 {
                return default_reply(request, log);
            }
            servers.signed_in("user-2", "login-1");
            switching.session_changed(None);
            switching.session_changed(Some(&access_token("user-2", "login-1")));
            Reply::json(status, "{}")
        });
        assert_eq!(world.run(client.ask("a secret of user 1")).unwrap_err().reason(), Reason::UserChanged);
        world.log(|log| assert_eq!(log.chats(), 1));
    }
}

#[test]
fn invalidating_covers_the_mint_under_way() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => bundle(&format!("token-{}", log.mints()), 900).delayed(Duration::from_secs(1)),
        false => default_reply(request, log),
    });
    let client = world.client();
    {
        let mut warming = pin!(client.warm());
        assert!(world.poll_once(warming.as_mut()).is_pending());
        client.invalidate_token();
        world.run(warming).unwrap();
    }
    world.run(client.ask("Hi!")).unwrap();
    assert_eq!(last_token(&world), "Bearer token-2");
}

#[test]
fn a_session_read_that_is_late_overrides_nothing() {
    for late in [None, Some(access_token("user-9", "login-9"))] {
        let world = World::new();
        world.sessions_take(Duration::from_secs(5));
        let slow = late.clone();
        world.sessions(move || Ok(slow.clone()));
        let client = world.client();
        let mut call = pin!(client.ask("Hi!"));
        assert!(world.poll_once(call.as_mut()).is_pending());
        // While that read is under way, user 1 signs in and gets an answer elsewhere.
        world.signed_in("user-1", "login-1");
        world.sessions_take(Duration::ZERO);
        client.session_changed(Some(&access_token("user-1", "login-1")));
        let conversation = client.conversation(Default::default()).unwrap();
        world.run(conversation.warm()).unwrap();
        assert!(world.run(call).is_ok());
        assert!(conversation.token_info().is_some(), "the late read did not end user 1's epoch");
    }
}

#[test]
fn a_conversation_made_while_nobody_was_signed_in_is_its_first_users() {
    let world = World::new();
    world.signed_out();
    let client = world.client();
    let conversation = client.conversation(Default::default()).unwrap();
    for (user, expected) in [("user-1", Ok("Hello".to_owned())), ("user-2", Err(Reason::UserChanged))] {
        world.signed_in(user, "login-1");
        client.session_changed(Some(&access_token(user, "login-1")));
        assert_eq!(world.run(conversation.ask("Hi!")).map_err(|error| error.reason()), expected, "{user}");
    }
}

#[test]
fn what_has_arrived_for_a_user_who_left_is_not_handed_out() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::stream([text(["a", "b", "c"].map(delta).concat()), Chunk::Stall]),
    });
    let client = world.client();
    let mut stream = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
    assert_eq!(world.run(stream.next()).unwrap().unwrap().text(), "a");
    client.session_changed(None);
    assert_eq!(world.run(stream.next()).unwrap().unwrap_err().reason(), Reason::UserChanged);
    assert_eq!(stream.text(), "a");
}

#[test]
fn asking_while_signed_out_makes_later_failures_no_longer() {
    let world = World::new();
    let client = world.client();
    world.signed_out();
    for _ in 0..10 {
        assert!(world.run(client.ask("Hi!")).is_err());
    }
    world.signed_in("user-1", "login-1");
    world.serve(|_, _| Reply::json(403, "{}"));
    assert!(world.run(client.ask("Hi!")).is_err());
    world.serve(default_reply);
    world.pass(1);
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
}

#[test]
fn signing_out_ends_that_users_streams_at_once() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::stream([text(delta("Hel")), Chunk::Stall]),
    });
    let client = world.client();
    let mut stream = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
    assert_eq!(world.run(stream.next()).unwrap().unwrap().text(), "Hel");
    {
        let mut next = pin!(stream.next());
        assert!(world.poll_once(next.as_mut()).is_pending());
        client.session_changed(None);
        let error = world.run(next).unwrap().unwrap_err();
        assert_eq!(error.reason(), Reason::UserChanged);
    }
    assert_eq!((stream.outcome(), stream.text()), (Some(Outcome::Failed), "Hel"));
    world.log(|log| assert_eq!(log.cancelled, 1));
    // Not the minute of the idle limit.
    assert_eq!(world.seconds(), 0.0);
}

#[test]
fn opaque_session_tokens_work_too() {
    let world = World::new();
    world.sessions(|| Ok(Some("opaque-1".into())));
    let client = world.client();
    world.run(client.ask("Hi!")).unwrap();
    client.session_changed(Some(&"opaque-1".into()));
    assert!(client.token_info().is_some());
    client.session_changed(Some(&"opaque-2".into()));
    assert_eq!(client.token_info(), None);
}
