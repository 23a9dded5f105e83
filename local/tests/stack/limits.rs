//! What stops a chat before it reaches the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use behest_local::{Config, ErrorShape, MintReply, Upstream};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{DEADLINE, PAGE, World, config, in_time, send};

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": "Hello there" }] })
}

/// A model that uses all it is allowed to, slowly enough for requests to meet.
async fn greedy_model() -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = |State(calls): State<Arc<AtomicUsize>>, Json(body): Json<Value>| async move {
        calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(30)).await;
        let tokens = body["max_tokens"].as_i64().expect("the gateway sets a limit where a budget applies");
        Json(json!({
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": "x" }, "finish_reason": "length" }],
            "usage": { "prompt_tokens": 3, "completion_tokens": tokens },
        }))
    };
    let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&calls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, calls)
}

/// Runs 50 requests at once, again and again until nothing is let through, against a budget of 1000 tokens.
async fn race(rule: &str, session: impl Fn(usize) -> String) {
    const LIMIT: i64 = 1000;
    let (url, calls) = greedy_model().await;
    let upstream = Some(Upstream { url, key: None, model: None, silence: DEADLINE });
    let budgets = vec![rule.parse().unwrap()];
    let world = World::with(Config { upstream, budgets, ..config() }).await;
    let token = world.minted("ada").await;
    let mut body = hello();
    body["max_tokens"] = json!(64);
    let mut admitted = 0;
    for round in 0.. {
        assert!(round < 50, "the budget was never spent");
        let requests = (0..50).map(|at| send(world.chat(&token, &body).header("x-session-id", session(at))));
        let answers = join_all(requests).await;
        let let_through = answers.iter().filter(|answer| answer.status == 200).count();
        admitted += let_through;
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            match answer.refusal() {
                (429, code) => {
                    assert_eq!((code.as_str(), answer.header("retry-after")), ("budget_reserved", Some("1")));
                }
                (status, code) => assert_eq!((status, code.as_str()), (402, "budget_exceeded"), "{}", answer.text),
            }
        }
        if let_through == 0 {
            let last = answers[0].json();
            assert_eq!(last["error"]["details"]["limit"]["tokens"], LIMIT);
            break;
        }
    }
    let rows = world.running.admin().usage().await.unwrap();
    let spent: i64 = rows.iter().map(|row| row.input_tokens + row.output_tokens).sum();
    assert!(spent > LIMIT - 80, "what is left has no room for another request: {spent}");
    assert!(spent <= LIMIT, "overspent: {spent}");
    assert_eq!(admitted, rows.len());
    assert_eq!(calls.load(Ordering::Relaxed), rows.len(), "a refused request never reaches the model");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_requests_racing_for_a_sessions_last_tokens_do_not_overspend() {
    race("session=1000", |_| "one".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_for_a_users_or_the_projects() {
    race("user=1000", |at| format!("s{at}")).await;
    race("project=1000", |at| format!("s{at}")).await;
}

#[tokio::test]
async fn a_budget_counts_each_session_and_each_user_alone() {
    let world = World::with(Config { budgets: vec!["session=95".parse().unwrap()], ..config() }).await;
    let (ada, bob) = (world.minted("ada").await, world.minted("bob").await);
    let ask = async |token: &str, session: &str| {
        send(world.chat(token, &hello()).header("x-session-id", session)).await.status.as_u16()
    };
    assert_eq!(ask(&ada, "a").await, 200, "an answer takes most of the budget, and is the last");
    assert_eq!(ask(&ada, "a").await, 402);
    assert_eq!(ask(&ada, "b").await, 200);
    assert_eq!(ask(&bob, "a").await, 200, "a session of the same name is another user's");
    world.running.admin().set_budget("session:a=100000".parse().unwrap()).await.unwrap();
    assert_eq!(ask(&ada, "a").await, 200, "a rule for one session stands before the rule for all");
    assert_eq!(world.running.admin().budgets().await.unwrap().len(), 2);
    world.running.admin().set_budget("user:bob=0.000001usd".parse().unwrap()).await.unwrap();
    let refused = send(world.chat(&bob, &hello()).header("x-session-id", "new")).await;
    let details = &refused.json()["error"]["details"];
    assert_eq!(
        (refused.refusal().0, &details["scope"], &details["limit"]["cost_usd"]),
        (402, &json!("user"), &json!(1e-6))
    );
    assert_eq!(world.counted("chat.complete"), 4);
}

#[tokio::test]
async fn an_answer_that_is_given_up_frees_what_it_had_reserved() {
    let world =
        World::with(Config { budgets: vec!["session=2000".parse().unwrap()], pace: DEADLINE, ..config() }).await;
    let token = world.minted("ada").await;
    let mut body = hello();
    body["stream"] = json!(true);
    let running = in_time(world.chat(&token, &body).send()).await.unwrap();
    assert_eq!(running.status(), 200);
    let refused = send(world.chat(&token, &body)).await;
    assert_eq!(refused.refusal(), (429, "budget_reserved".to_owned()));
    drop(running);
    world.reached("chat.aborted", 1).await;
    let again = in_time(world.chat(&token, &body).send()).await.unwrap();
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn tiers_have_their_documented_rates() {
    let world = World::with(Config { tier_limits: true, ..config() }).await;
    let token = world.minted("ada").await;
    for _ in 0..10 {
        assert_eq!(send(world.chat(&token, &hello())).await.status, 200);
    }
    let refused = send(world.chat(&token, &hello())).await;
    assert_eq!(refused.refusal(), (429, "rate_limited".to_owned()));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    world.running.clock().advance(Duration::from_secs(wait));
    assert_eq!(send(world.chat(&token, &hello())).await.status, 200, "after the stated wait there is room");

    let pro = world.mint(&json!({ "user_id": "bob", "tier": 2 })).await.json()["jwt"].as_str().unwrap().to_owned();
    for _ in 0..11 {
        assert_eq!(send(world.chat(&pro, &hello())).await.status, 200, "another tier, another rate");
    }
}

#[tokio::test]
async fn an_answer_of_no_tokens_is_no_allowance_that_is_used_up() {
    let world = World::with(Config { tier_limits: true, ..config() }).await;
    let token = world.minted("ada").await;
    let mut body = hello();
    body["max_tokens"] = json!(0);
    let answer = send(world.chat(&token, &body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn a_day_has_its_documented_allowance() {
    let world = World::with(Config { tier_limits: true, ..config() }).await;
    let body = json!({ "user_id": "ada", "tier": "free", "ttl": 86_400 });
    let token = world.mint(&body).await.json()["jwt"].as_str().unwrap().to_owned();
    // At noon: a day must not end while the test counts.
    let day = 86_400_000;
    let to_noon = (day + day / 2 - world.running.clock().now_ms().rem_euclid(day)).rem_euclid(day);
    world.running.clock().advance(Duration::from_millis(to_noon.try_into().unwrap()));
    let token = if to_noon > 0 { world.mint(&body).await.json()["jwt"].as_str().unwrap().to_owned() } else { token };
    let mut served = 0;
    let refused = loop {
        let answer = send(world.chat(&token, &hello())).await;
        match answer.refusal().0 {
            429 => world.running.clock().advance(Duration::from_secs(60)),
            200 => served += 1,
            _ => break answer,
        }
    };
    assert_eq!((served, refused.refusal()), (100, (402, "quota_exceeded".to_owned())));
    let details = &refused.json()["error"]["details"];
    assert_eq!((&details["tier"], &details["limit"]["tokens_per_day"]), (&json!("free"), &json!(50_000)));
    assert_eq!(details["usage"]["requests_today"], 100);
    world.running.clock().advance(Duration::from_secs(86_400));
    let token = world.mint(&body).await.json()["jwt"].as_str().unwrap().to_owned();
    assert_eq!(send(world.chat(&token, &hello())).await.status, 200, "a new day");
}

#[tokio::test]
async fn blocked_patterns_and_the_kill_switch_refuse() {
    let world = World::with(Config { block: vec![r"\b\d{3}-\d{2}-\d{4}\b".into()], ..config() }).await;
    let token = world.minted("ada").await;
    let secret =
        json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "I am 078-05-1120" }] }] });
    let refused = send(world.chat(&token, &secret)).await;
    assert_eq!(refused.refusal(), (451, "content_blocked".to_owned()));
    assert_eq!(send(world.chat(&token, &hello())).await.status, 200);

    world.running.set_killed(true).await.unwrap();
    assert_eq!(send(world.chat(&token, &hello())).await.refusal(), (403, "forbidden".to_owned()));
    assert_eq!(send(world.get_gateway("/v1/usage").bearer_auth(&token)).await.refusal().0, 403);
    assert_eq!(world.mint(&json!({ "user_id": "ada" })).await.refusal().0, 403);
    world.running.set_killed(false).await.unwrap();
    assert_eq!(send(world.chat(&token, &hello())).await.status, 200);
    assert_eq!(world.running.admin().usage().await.unwrap().len(), 2, "refused requests cost nothing");
    let error = behest_local::start(Config { block: vec!["(".into()], ..config() }).await.unwrap_err();
    assert!(error.to_string().contains("--block"), "{error}");
}

#[tokio::test]
async fn errors_and_mint_replies_have_the_shape_that_is_set() {
    for (shape, expected) in [
        (ErrorShape::Nested, json!({ "error": { "code": "invalid_token", "message": "the token is not a JWT" } })),
        (ErrorShape::Flat, json!({ "error": "the token is not a JWT", "code": "invalid_token", "retryable": false })),
        (ErrorShape::Named, json!({ "error": { "code": "BEHEST_AUTH_INVALID", "message": "the token is not a JWT" } })),
        (ErrorShape::Legacy, json!({ "code": "invalid_token", "message": "the token is not a JWT" })),
    ] {
        let world = World::with(Config { error_shape: shape, ..config() }).await;
        let refused = send(world.chat("a.b", &hello())).await;
        assert_eq!((refused.status.as_u16(), refused.json()), (401, expected));
        assert!(refused.header("x-trace-id").is_some());
    }
    let world = World::with(Config {
        exposed_headers: Some("x-trace-id".into()),
        error_shape: ErrorShape::Named,
        mint_reply: MintReply::AccessToken,
        ..config()
    })
    .await;
    let missing = send(world.post_gateway("/v1/chat/completions", &hello())).await;
    assert_eq!(missing.json()["error"]["code"], "BEHEST_AUTH_MISSING");
    let seen = send(world.get_gateway("/v1/usage").header("origin", PAGE)).await;
    assert_eq!(seen.header("access-control-expose-headers"), Some("x-trace-id"));
    let reply = world.mint(&json!({ "user_id": "ada", "ttl": 60 })).await.json();
    let fields: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["access_token", "expires_in", "project_id", "token_type"]);
    let token = reply["access_token"].as_str().unwrap();
    assert_eq!(send(world.chat(token, &hello())).await.status, 200);
    world.running.clock().advance(Duration::from_secs(61));
    let expired = send(world.chat(token, &hello())).await;
    assert_eq!(expired.json()["error"]["code"], "BEHEST_AUTH_EXPIRED");
}
