//! One test for each defect of the SDKs before this one, named after what users met. The letters and numbers are those
//! of the list this client was designed against: B identity, C coverage, D errors, E streams.

use std::collections::HashSet;

use behest_client::client::{ChatRequest, Client, ConversationOptions, Outcome, UsageQuery};
use behest_client::testing::{
    Chunk, FUNCTION, Reply, World, access_token, default_reply, delta, finish, header, jwt, text,
};
use behest_client::wire::decode_token;
use behest_client::{Action, Error, Reason};
use futures_util::StreamExt;

use crate::tests;

/// The gateway answers so; the function as documented.
fn gateway(reply: impl Fn() -> Reply + Send + Sync + 'static) -> World {
    let world = World::new();
    world.serve(move |request, log| if request.url == FUNCTION { default_reply(request, log) } else { reply() });
    world
}

fn refused(status: u16, body: &'static str) -> Error {
    let world = gateway(move || Reply::json(status, body));
    world.run(world.client().with_max_retries(0).ask("Hi!")).unwrap_err()
}

fn streamed(chunks: Vec<Chunk>) -> (Option<Outcome>, String, Vec<Reason>) {
    let world = gateway(move || Reply::stream(chunks.clone()));
    let client = world.client();
    let mut stream = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
    let mut errors = vec![];
    while let Some(item) = world.run(stream.next()) {
        errors.extend(item.err().map(|error| error.reason()));
    }
    (stream.outcome(), stream.text().to_owned(), errors)
}

fn sent(world: &World, name: &str) -> Vec<String> {
    let of_gateway = |request: &&behest_client::client::transport::Request| request.url != FUNCTION;
    world.log(|log| log.requests.iter().filter(of_gateway).filter_map(|r| header(r, name).map(str::to_owned)).collect())
}

fn ask(world: &World, client: &Client) {
    world.run(client.ask("Hi!")).unwrap();
}

tests! {
    fn b1_every_call_is_billed_to_the_user_of_the_session() {
        let world = World::new();
        let client = world.client();
        ask(&world, &client);
        let _ = world.run(client.threads());
        let _ = world.run(client.usage(&UsageQuery::default()));
        assert_eq!(sent(&world, "authorization").into_iter().collect::<HashSet<_>>().len(), 1);
        world.log(|log| assert_eq!(log.mints(), 1));
    }

    fn b2_three_chats_cost_one_mint_and_share_one_session() {
        let world = World::new();
        let client = world.client();
        (0..3).for_each(|_| ask(&world, &client));
        world.log(|log| assert_eq!(log.mints(), 1));
        assert_eq!(sent(&world, "x-session-id"), ["session-1"; 3]);
    }

    fn b3_one_users_session_id_is_never_sent_for_another() {
        let world = World::new();
        world.serve(|request, log| match request.url == FUNCTION {
            true => Reply::json(200, format!(r#"{{"token":"t","ttl":900,"sessionId":"s-{}"}}"#, log.mints())),
            false => default_reply(request, log),
        });
        let client = world.client();
        ask(&world, &client);
        world.signed_in("user-2", "login-1");
        client.session_changed(Some(&access_token("user-2", "login-1")));
        ask(&world, &client);
        assert_eq!(sent(&world, "x-session-id"), ["s-1", "s-2"]);
    }

    fn b4_without_a_user_there_is_no_default_user() {
        let world = World::new();
        world.signed_out();
        assert_eq!(world.run(world.client().ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
        world.log(|log| assert!(log.requests.is_empty()));
    }

    fn b6_usage_is_asked_with_the_users_own_token() {
        let world = World::new();
        let _ = world.run(world.client().usage(&UsageQuery::default()));
        world.log(|log| assert!(!log.requests[1].url.contains("user_id")));
        assert_eq!(sent(&world, "authorization"), ["Bearer token-1"]);
    }

    fn b7_signing_out_and_in_leaves_nothing_of_the_first_user() {
        let world = World::new();
        let client = world.client();
        ask(&world, &client);
        world.signed_out();
        client.session_changed(None);
        world.signed_in("user-2", "login-2");
        client.session_changed(Some(&access_token("user-2", "login-2")));
        ask(&world, &client);
        assert_eq!(sent(&world, "authorization"), ["Bearer token-1", "Bearer token-2"]);
    }

    fn b11_the_function_is_sent_only_headers_that_its_documented_cors_answer_allows() {
        let world = World::new();
        let client = world.client();
        ask(&world, &client);
        world.pass(1000);
        ask(&world, &client);
        world.log(|log| {
            let names: HashSet<_> = log.requests.iter().filter(|r| r.url == FUNCTION).flat_map(|r| &r.headers).map(|(name, _)| *name).collect();
            assert_eq!(names, HashSet::from(["authorization", "content-type"]));
            let allowed = behest_client::wire::GATEWAY_REQUEST_HEADERS;
            let gateway: HashSet<_> = log.requests.iter().filter(|r| r.url != FUNCTION).flat_map(|r| &r.headers).map(|(name, _)| *name).collect();
            // `accept` needs no permission.
            assert!(gateway.iter().all(|name| *name == "accept" || allowed.contains(name)), "{gateway:?}");
        });
    }

    fn b12_session_ids_are_random_uuids() {
        let ids: HashSet<_> = (0..100).map(|_| behest_client::client::generate_session_id()).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19])));
    }

    fn b13_an_api_key_is_never_sent_from_a_client() {
        for key in ["behest_sk_live_0123", "sb_secret_0123", "sk-proj-0123"] {
            let world = World::new();
            world.sessions(move || Ok(Some(key.into())));
            assert_eq!(world.run(world.client().ask("Hi!")).unwrap_err().reason(), Reason::ApiKeyAsBearer);
            world.log(|log| assert!(log.requests.is_empty()));
        }
    }

    fn c1_chat_can_carry_a_thread() {
        let world = World::new();
        let options = ConversationOptions::new().thread_id("thread-1");
        ask(&world, &world.client().conversation(options).unwrap());
        assert_eq!(sent(&world, "x-thread-id"), ["thread-1"]);
    }

    fn c2_usage_is_found_where_the_documents_say_too() {
        let world = World::new();
        world.serve(|request, log| match () {
            () if request.url == FUNCTION => default_reply(request, log),
            () if request.url.ends_with("/v1/billing/usage") => Reply::json(200, "{}"),
            () => Reply::json(404, "{}"),
        });
        assert!(world.run(world.client().usage(&UsageQuery::default())).is_ok());
    }

    fn c8_thread_ids_are_encoded() {
        let world = gateway(|| Reply::json(200, "{}"));
        world.run(world.client().thread("a/b?c")).unwrap();
        world.log(|log| assert!(log.requests[1].url.ends_with("/v1/threads/a%2Fb%3Fc")));
    }

    fn c9_query_values_are_encoded() {
        let world = gateway(|| Reply::json(200, "{}"));
        let query = UsageQuery::new().from("2026-11-21T00:00:00+00:00");
        world.run(world.client().usage(&query)).unwrap();
        world.log(|log| assert!(log.requests[1].url.ends_with("?from=2026-11-21T00%3A00%3A00%2B00%3A00")));
    }

    fn c10_a_base_url_with_its_version_is_not_doubled() {
        let world = World::new();
        let client = Client::builder("https://gateway.example/v1").token_url(FUNCTION).transport(world.clone());
        ask(&world, &client.session(access_token("u", "l")).build().unwrap());
        world.log(|log| assert_eq!(log.requests[1].url, "https://gateway.example/v1/chat/completions"));
    }

    fn d1_passing_failures_are_retried_twice() {
        let world = gateway(|| Reply::json(503, "{}"));
        assert!(world.run(world.client().ask("Hi!")).is_err());
        world.log(|log| assert_eq!(log.chats(), 3));
    }

    fn d2_no_wait_is_without_a_limit() {
        let world = gateway(Reply::hang);
        assert_eq!(world.run(world.client().ask("Hi!")).unwrap_err().reason(), Reason::Timeout);
    }

    fn d3_a_flat_error_keeps_its_code_and_message() {
        let error = refused(400, r#"{"error":"model is unknown","code":"validation_error"}"#);
        assert_eq!(error.code(), Some("validation_error"));
        assert!(error.message().contains("model is unknown"));
    }

    fn d4_every_status_has_a_reason_of_its_own_and_a_spent_budget_is_not_retried() {
        let reasons = [(404, Reason::NotFound), (409, Reason::Conflict), (451, Reason::ContentBlocked)];
        for (status, reason) in reasons {
            assert_eq!(refused(status, "{}").reason(), reason);
        }
        let world = gateway(|| Reply::json(429, r#"{"error":{"code":"budget_exceeded"}}"#));
        let error = world.run(world.client().ask("Hi!")).unwrap_err();
        assert_eq!((error.reason(), error.action()), (Reason::QuotaExceeded, Action::Upgrade));
        world.log(|log| assert_eq!(log.chats(), 1));
    }

    fn d5_retry_after_is_read_on_every_status_and_in_every_form() {
        for (value, status) in [("1.5", 429), ("Mon, 21 Sep 2026 14:13:30 GMT", 503), ("3", 500)] {
            let world = gateway(move || Reply::json(status, "{}").header("retry-after", value));
            let error = world.run(world.client().with_max_retries(0).ask("Hi!")).unwrap_err();
            assert!(error.retry_after().is_some_and(|wait| !wait.is_zero()), "{value}");
        }
    }

    fn d6_a_cancelled_call_is_no_server_error() {
        let world = gateway(|| Reply::stream([text(delta("Hi")), Chunk::Stall]));
        let client = world.client();
        let mut stream = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
        stream.abort();
        assert!(world.run(stream.next()).is_none());
        assert_eq!(stream.outcome(), Some(Outcome::Aborted));
    }

    fn d7_a_network_failure_has_no_status() {
        let world = gateway(|| Reply::refused("no route"));
        assert_eq!(world.run(world.client().ask("Hi!")).unwrap_err().status(), None);
    }

    fn d8_a_network_failure_before_a_stream_is_typed_like_any_other() {
        let world = gateway(|| Reply::refused("no route"));
        let client = world.client();
        let error = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).err().unwrap();
        assert_eq!(error.reason(), Reason::Network);
    }

    fn d9_an_empty_token_reply_is_a_typed_error() {
        let world = World::new();
        world.serve(|_, _| Reply::json(200, ""));
        assert_eq!(world.run(world.client().ask("Hi!")).unwrap_err().reason(), Reason::InvalidBundle);
    }

    fn d10_the_servers_lifetime_is_believed() {
        let world = World::new();
        world.serve(|request, log| match request.url == FUNCTION {
            true => Reply::json(200, r#"{"access_token":"t","expires_in":60}"#),
            false => default_reply(request, log),
        });
        let client = world.client();
        ask(&world, &client);
        assert_eq!(client.token_info().unwrap().ttl.as_secs(), 60);
    }

    fn d11_wrong_clocks_neither_fetch_too_often_nor_use_dead_tokens() {
        // The function's `expiresAt` lies in the past or far ahead: its clock is wrong, or ours.
        for expires_at in [0u64, 99_999_999_999] {
            let world = World::new();
            world.serve(move |request, log| match request.url == FUNCTION {
                true => Reply::json(200, format!(r#"{{"token":"t","ttl":900,"sessionId":"s","expiresAt":{expires_at}}}"#)),
                false => default_reply(request, log),
            });
            let client = world.client();
            (0..5).for_each(|_| ask(&world, &client));
            world.log(|log| assert_eq!(log.mints(), 1));
            world.pass(900);
            ask(&world, &client);
            world.log(|log| assert_eq!(log.mints(), 2));
        }
    }

    fn e1_streams_with_crlf_are_read() {
        let crlf = |event: String| text(event.replace('\n', "\r\n"));
        assert_eq!(streamed(vec![crlf(delta("Hi")), crlf(finish("stop"))]), (Some(Outcome::Complete), "Hi".into(), vec![]));
    }

    fn e2_a_stream_without_its_end_is_truncated() {
        assert_eq!(streamed(vec![text(delta("Hi"))]), (Some(Outcome::Truncated), "Hi".into(), vec![Reason::Truncated]));
    }

    fn e3_a_last_event_without_a_blank_line_counts() {
        let last = finish("stop").trim_end().to_owned();
        assert_eq!(streamed(vec![text(delta("Hi")), text(last)]), (Some(Outcome::Complete), "Hi".into(), vec![]));
    }

    fn e4_an_error_in_the_stream_is_an_error() {
        let error = r#"data: {"error":{"message":"overloaded","code":"server_error"}}"#;
        let got = streamed(vec![text(delta("Hi")), text(format!("{error}\n\n")), text(delta("more"))]);
        assert_eq!(got, (Some(Outcome::Failed), "Hi".into(), vec![Reason::ServerError]));
    }

    fn e5_a_chunk_that_is_no_json_ends_the_stream_with_an_error() {
        let got = streamed(vec![text(delta("Hi")), text("data: oops\n\n"), text(delta("more"))]);
        assert_eq!(got, (Some(Outcome::Failed), "Hi".into(), vec![Reason::InvalidResponse]));
    }

    fn e6_leaving_a_stream_cancels_the_request() {
        let world = gateway(|| Reply::stream([text(delta("Hi")), Chunk::Stall]));
        let client = world.client();
        drop(world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap());
        world.log(|log| assert_eq!(log.cancelled, 1));
    }

    fn e7_claims_are_decoded_as_utf_8() {
        let token = jwt(&serde_json::json!({"name": "Zo\u{eb} \u{1F44B}", "sid": "s"}));
        assert_eq!(decode_token(&token).unwrap()["name"], "Zo\u{eb} \u{1F44B}");
        for bad in ["", "a.b", "a.!!.c", "a.e30.c.d"] {
            assert!(decode_token(bad).is_none(), "{bad}");
        }
    }
}
