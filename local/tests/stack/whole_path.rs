//! From sign-up to the usage row: by raw HTTP, and with this project's own client. Nothing is faked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use behest_client::client::{ChatRequest, ConversationOptions, Outcome, UsageQuery};
use behest_client::{Client, Error, Reason, Secret};
use behest_local::Config;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{PAGE, Signed, World, config, events, in_time, jwt_part, jwt_with, send, signed};

#[tokio::test]
async fn raw_http_from_sign_up_to_the_usage_row() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    world.running.admin().set_plan(&ada.user, "pro").await.unwrap();
    let answer = send(world.function().bearer_auth(&ada.access).header("origin", PAGE)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let bundle = answer.json();
    let token = bundle["token"].as_str().unwrap();
    let claims = jwt_part(token, 1);
    assert_eq!((&claims["uid"], &claims["tier"]), (&json!(ada.user), &json!(2)), "the plan decides the tier");
    assert_eq!((&bundle["ttl"], &bundle["expiresAt"]), (&json!(900), &claims["exp"]));
    assert_eq!(bundle["sessionId"], claims["sid"]);

    let body = json!({ "messages": [{ "role": "user", "content": "Hi!" }], "stream": true });
    let chat = send(world.chat(token, &body).header("origin", PAGE)).await;
    assert_eq!(events(&chat.text).last().map(String::as_str), Some("[DONE]"));
    assert_eq!(chat.header("access-control-allow-origin"), Some(PAGE));

    let usage = send(world.get_gateway("/v1/usage").bearer_auth(token)).await.json();
    assert_eq!(usage["user_id"], ada.user);
    let sessions = usage["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!((&sessions[0]["session_id"], &sessions[0]["requests"]), (&bundle["sessionId"], &json!(1)));
    for (name, count) in
        [("functions.behest-token", 1), ("auth.jwks", 1), ("rest.profiles", 1), ("mint", 1), ("chat", 1)]
    {
        assert_eq!(world.counted(name), count, "{name}");
    }
}

#[tokio::test]
async fn a_session_id_of_the_clients_own_is_minted_into_the_token() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let answer = send(world.function().bearer_auth(&ada.access).body(r#"{"session_id":"conversation-1"}"#)).await;
    assert_eq!(answer.json()["sessionId"], "conversation-1");
    assert_eq!(jwt_part(answer.json()["token"].as_str().unwrap(), 1)["sid"], "conversation-1");
}

#[tokio::test]
async fn a_wrong_origin_is_refused_by_both_servers() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let wrong = "http://localhost:9999";
    let function = send(world.function().bearer_auth(&ada.access).header("origin", wrong)).await;
    assert_eq!(function.refusal(), (403, "origin_refused".to_owned()));
    let gateway = send(world.chat(&world.token(&ada).await, &json!({})).header("origin", wrong)).await;
    assert_eq!(gateway.refusal(), (403, "forbidden".to_owned()));
    for url in [
        format!("{}/functions/v1/behest-token", world.running.supabase_url),
        format!("{}/v1/chat/completions", world.running.gateway_url),
    ] {
        let preflight = world.http.request(http::Method::OPTIONS, url).header("origin", wrong);
        let preflight = send(preflight.header("access-control-request-method", "POST")).await;
        assert_eq!(preflight.header("access-control-allow-origin"), None);
    }
    for answer in [function, gateway] {
        assert_eq!(answer.header("access-control-allow-origin"), None, "the page must not read why");
    }
    assert_eq!(world.counted("cors.refused"), 4);
    assert_eq!((world.counted("mint"), world.counted("chat")), (1, 0));
}

#[tokio::test]
async fn every_bad_session_has_its_own_reason_and_mints_nothing() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let elsewhere = World::start().await.sign_up("ada@example.com").await;
    let cases = [
        (jwt_with(&ada.access, 1, |claims| claims["sub"] = json!("victim")), "invalid_signature"),
        (jwt_with(&ada.access, 1, |claims| claims["exp"] = json!(9_999_999_999_i64)), "invalid_signature"),
        (jwt_with(&ada.access, 0, |header| header["alg"] = json!("none")), "unsupported_algorithm"),
        (elsewhere.access, "unknown_key"),
        (world.running.publishable_key.clone(), "api_key_as_bearer"),
        ("garbage".to_owned(), "malformed_token"),
    ];
    for (token, reason) in cases {
        let answer = send(world.function().bearer_auth(&token)).await;
        assert_eq!(answer.refusal(), (401, reason.to_owned()));
    }
    assert_eq!(send(world.function()).await.refusal(), (401, "missing_token".to_owned()));
    world.running.clock().advance(Duration::from_secs(3600 + 60));
    assert_eq!(send(world.function().bearer_auth(&ada.access)).await.refusal(), (401, "token_expired".to_owned()));
    assert_eq!(world.counted("mint"), 0);
}

#[tokio::test]
async fn anonymous_users_need_to_be_allowed() {
    for allow_anonymous in [false, true] {
        let world = World::with(Config { allow_anonymous, ..config() }).await;
        let guest = signed(&send(world.post_supabase("/auth/v1/signup", &json!({}))).await);
        let answer = send(world.function().bearer_auth(&guest.access)).await;
        if allow_anonymous {
            assert_eq!(jwt_part(answer.json()["token"].as_str().unwrap(), 1)["uid"], guest.user);
        } else {
            assert_eq!(answer.json()["error"]["code"], "anonymous_refused", "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn the_path_works_over_ipv6_too() {
    let world = World::with(Config { host: std::net::Ipv6Addr::LOCALHOST.into(), ..config() }).await;
    assert!(world.running.gateway_url.starts_with("http://[::1]:"));
    let ada = world.sign_up("ada@example.com").await;
    let (client, _) = client(&world, &ada);
    assert!(in_time(client.ask("Hi")).await.unwrap().contains("“Hi”"));
}

/// A client whose session source counts how often it is read.
fn client(world: &World, signed: &Signed) -> (Client, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let (counter, access) = (Arc::clone(&reads), signed.access.clone());
    let source = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let token = Secret::from(access.clone());
        async move { Ok::<_, Error>(Some(token)) }
    };
    let builder = Client::builder(&world.running.gateway_url).function(&world.running.supabase_url, "behest-token");
    (builder.session(source).build().unwrap(), reads)
}

#[tokio::test]
async fn the_client_streams_an_answer_and_finds_it_in_its_usage() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let (client, reads) = client(&world, &ada);
    let mut stream = in_time(client.chat_stream(&ChatRequest::user("Where is Rome?"))).await.unwrap();
    let mut chunks = 0;
    while let Some(chunk) = in_time(stream.next()).await {
        chunk.unwrap();
        chunks += 1;
    }
    assert_eq!(stream.outcome(), Some(Outcome::Complete));
    assert!(stream.text().contains("Where is Rome?"), "{}", stream.text());
    assert!(chunks > 10, "{chunks} chunks are no stream");

    let usage: Value =
        serde_json::from_str(&in_time(client.usage(&UsageQuery::default())).await.unwrap().json).unwrap();
    assert_eq!(usage["user_id"], ada.user);
    assert_eq!(usage["sessions"][0]["session_id"], stream.trace().session_id);
    assert_eq!(usage["sessions"][0]["requests"], 1);
    let row = &world.running.admin().usage().await.unwrap()[0];
    assert_eq!(stream.trace().trace_id.as_deref(), Some(row.request_id.as_str()));
    assert_eq!(
        (reads.load(Ordering::SeqCst), world.counted("mint")),
        (2, 1),
        "a closure is asked at each call; one mint"
    );
}

#[tokio::test]
async fn a_hundred_calls_at_a_cold_cache_mint_once() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let (client, reads) = client(&world, &ada);
    let answers = futures_util::future::join_all((0..100).map(|number| client.ask(format!("Question {number}"))));
    for (number, answer) in in_time(answers).await.into_iter().enumerate() {
        assert!(answer.unwrap().contains(&format!("“Question {number}”")));
    }
    let counts =
        ["functions.behest-token", "mint", "rest.profiles", "chat", "chat.complete"].map(|name| world.counted(name));
    assert_eq!((reads.load(Ordering::SeqCst), counts), (1, [1, 1, 1, 100, 100]));
    assert_eq!(world.running.admin().usage().await.unwrap().len(), 100);
}

#[tokio::test]
async fn conversations_keep_their_cost_apart() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let (client, _) = client(&world, &ada);
    for (session, questions) in [("first", 2), ("second", 1)] {
        let options = ConversationOptions::new().session_id(session);
        let conversation = client.conversation(options).unwrap();
        for _ in 0..questions {
            in_time(conversation.ask("Hi")).await.unwrap();
        }
    }
    let usage: Value =
        serde_json::from_str(&in_time(client.usage(&UsageQuery::default())).await.unwrap().json).unwrap();
    let rows: Vec<_> =
        usage["sessions"].as_array().unwrap().iter().map(|row| (&row["session_id"], &row["requests"])).collect();
    assert_eq!(rows, [(&json!("second"), &json!(1)), (&json!("first"), &json!(2))]);
}

#[tokio::test]
async fn the_client_renews_a_token_that_the_gateway_no_longer_takes() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let (client, _) = client(&world, &ada);
    in_time(client.ask("Hi")).await.unwrap();
    // The gateway's clock passes the token's end; the client's does not, so it learns it from the 401.
    world.running.clock().advance(Duration::from_secs(901));
    in_time(client.ask("Hi again")).await.unwrap();
    assert_eq!((world.counted("mint"), world.counted("chat"), world.counted("chat.complete")), (2, 3, 2));
}

#[tokio::test]
async fn a_dropped_stream_is_aborted_at_the_gateway() {
    let world = World::with(Config { pace: Duration::from_millis(200), ..config() }).await;
    let ada = world.sign_up("ada@example.com").await;
    let (client, _) = client(&world, &ada);
    let mut stream = in_time(client.chat_stream(&ChatRequest::user("Hi"))).await.unwrap();
    while !stream.text().contains("wrote") {
        in_time(stream.next()).await.unwrap().unwrap();
    }
    drop(stream);
    world.reached("chat.aborted", 1).await;
    let row = &world.running.admin().usage().await.unwrap()[0];
    assert_eq!((row.user_id.as_str(), row.outcome.as_str()), (ada.user.as_str(), "aborted"));
}

#[tokio::test]
async fn the_client_tells_a_refused_session_from_a_refused_token() {
    let world = World::start().await;
    let mut ada = world.sign_up("ada@example.com").await;
    ada.access = jwt_with(&ada.access, 1, |claims| claims["email"] = json!("forged@example.com"));
    let (client, _) = client(&world, &ada);
    let error = in_time(client.ask("Hi")).await.unwrap_err();
    assert_eq!((error.reason(), error.status()), (Reason::InvalidSignature, Some(401)), "{error}");
    assert_eq!(world.counted("chat"), 0);
}

#[tokio::test]
async fn the_client_keeps_a_thread_and_deletes_it() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let (client, _) = client(&world, &ada);
    let options = ConversationOptions::new().thread_id("my thread");
    let conversation = client.conversation(options).unwrap();
    in_time(conversation.ask("First")).await.unwrap();
    let second = in_time(conversation.ask("Second")).await.unwrap();
    assert!(second.contains("in a conversation of 3 messages"), "{second}");
    let json = |reply: Result<behest_client::client::Reply, Error>| -> Value {
        serde_json::from_str(&reply.unwrap().json).unwrap()
    };
    assert_eq!(json(in_time(client.threads()).await)[0]["id"], "my thread");
    assert_eq!(json(in_time(client.thread("my thread")).await)["title"], "First");
    assert_eq!(json(in_time(client.thread_messages("my thread")).await).as_array().unwrap().len(), 4);
    in_time(client.delete_thread("my thread")).await.unwrap();
    let gone = in_time(client.thread("my thread")).await.unwrap_err();
    assert_eq!(gone.reason(), Reason::NotFound);
}

#[tokio::test]
async fn the_client_says_that_a_budget_is_spent() {
    let world = World::with(Config { budgets: vec!["session=60".parse().unwrap()], ..config() }).await;
    let ada = world.sign_up("ada@example.com").await;
    let (client, _) = client(&world, &ada);
    in_time(client.ask("Hi")).await.unwrap();
    let spent = in_time(client.ask("Hi again")).await.unwrap_err();
    assert_eq!((spent.reason(), spent.status()), (Reason::QuotaExceeded, Some(402)));
    assert!(spent.to_string().contains("budget of 60 tokens"), "{spent}");
    assert_eq!(world.counted("chat"), 2, "a spent budget is not asked for again");
}
