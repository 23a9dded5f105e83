//! Budgets are hard: whatever a request looks like, and whatever the model does with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use behest_local::{Config, Upstream};
use futures_util::future::join_all;
use futures_util::stream;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::support::{DEADLINE, World, config, send};

/// What a model does with a request.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// Takes no notice of the limits it is sent.
    ignores_limits: bool,
    /// Says how many tokens it counted.
    counts: bool,
    /// How many words a chunk has.
    words_in_chunk: usize,
}

const WITHOUT_LIMITS: usize = 3000;

/// A model that reads everything and says as much as it may.
async fn model(habits: Habits) -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = move |State(calls): State<Arc<AtomicUsize>>, body: Bytes| async move {
        calls.fetch_add(1, Ordering::Relaxed);
        reply(habits, &body)
    };
    let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&calls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, calls)
}

fn reply(habits: Habits, bytes: &Bytes) -> Response {
    let body: Value = serde_json::from_slice(bytes).unwrap();
    let limit = ["max_completion_tokens", "max_tokens"].iter().filter_map(|name| body[*name].as_u64()).max();
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).filter(|_| !habits.ignores_limits);
    let words = limit.unwrap_or(WITHOUT_LIMITS).min(100_000);
    let choices = usize::try_from(body["n"].as_u64().unwrap_or(1)).unwrap();
    let usage = json!({ "prompt_tokens": bytes.len() / 4, "completion_tokens": words * choices });
    if body["stream"] != true {
        let choice = |index| json!({ "index": index, "message": { "role": "assistant", "content": "word ".repeat(words) }, "finish_reason": "length" });
        let mut whole = json!({ "choices": (0..choices).map(choice).collect::<Vec<_>>() });
        if habits.counts {
            whole["usage"] = usage;
        }
        return Json(whole).into_response();
    }
    let mut chunks = Vec::new();
    let mut left = words;
    while left > 0 {
        let now = left.min(habits.words_in_chunk);
        left -= now;
        for index in 0..choices {
            let delta = json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "word ".repeat(now) } }] });
            chunks.push(json!({ "choices": [{ "index": index, "delta": delta }] }));
        }
    }
    chunks.push(json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] }));
    if habits.counts {
        chunks.push(json!({ "choices": [], "usage": usage }));
    }
    let text = chunks.into_iter().map(|chunk| format!("data: {chunk}\n\n")).chain(["data: [DONE]\n\n".to_owned()]);
    let body = Body::from_stream(stream::iter(text.map(Ok::<_, std::io::Error>)));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn world(habits: Habits, budgets: &[&str]) -> (World, Arc<AtomicUsize>) {
    let (url, calls) = model(habits).await;
    let upstream = Some(Upstream { url, key: None, model: None, silence: DEADLINE });
    let budgets = budgets.iter().map(|rule| rule.parse().unwrap()).collect();
    // This model takes images for little.
    (World::with(Config { upstream, budgets, image_tokens: 1600, ..config() }).await, calls)
}

const HONEST: Habits = Habits { ignores_limits: false, counts: true, words_in_chunk: 1 };

fn hello(more: Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": "Hello there" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn one_request_cannot_spend_more_than_there_is() {
    let (world, _) = world(HONEST, &["session=1000"]).await;
    let token = world.minted("ada").await;
    for more in [
        json!({ "max_tokens": 100_000 }),
        json!({ "max_completion_tokens": 100_000 }),
        json!({ "max_tokens": 5, "max_completion_tokens": 100_000 }),
        json!({ "max_completion_tokens": 5, "max_tokens": 100_000 }),
        json!({ "max_tokens": 1e5 }),
        json!({ "max_tokens": "100000" }),
        json!({ "max_tokens": 50, "n": 128 }),
        json!({ "max_tokens": 100_000, "stream": true }),
        json!({ "max_tokens": i64::MAX }),
        json!({}),
    ] {
        let session = more.to_string();
        let answer = send(world.chat(&token, &hello(more)).header("x-session-id", &session)).await;
        assert_eq!(answer.status, 200, "{session}: {}", answer.text);
        let rows = world.running.admin().usage().await.unwrap();
        let row = rows.last().unwrap();
        assert!(row.input_tokens + row.output_tokens <= 1000, "{session}: {row:?}");
        assert!(row.output_tokens > 0);
    }
    for n in [json!(0), json!(-1), json!(1.5), json!("2"), json!(129)] {
        for name in ["n", "best_of"] {
            let answer = send(world.chat(&token, &hello(json!({ name: n })))).await;
            assert_eq!(answer.refusal(), (400, "validation_error".to_owned()), "{name}: {n}");
        }
    }
}

/// Answers that a model writes and throws away cost what the others cost.
#[tokio::test]
async fn the_best_of_many_answers_has_room_for_all_of_them() {
    let (world, _) = world(HONEST, &["session=1000"]).await;
    let token = world.minted("ada").await;
    for best_of in [1, 20] {
        let body = hello(json!({ "max_tokens": 100_000, "best_of": best_of }));
        let answer = send(world.chat(&token, &body).header("x-session-id", best_of.to_string())).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let written = best_of * answer.json()["usage"]["completion_tokens"].as_i64().unwrap();
        assert!((500..=1000).contains(&written), "{written}");
    }
}

#[tokio::test]
async fn the_usage_report_says_what_each_session_may_spend() {
    let (world, _) = world(HONEST, &["session=1000", "session:rich=0.50usd", "user=20000"]).await;
    let token = world.minted("ada").await;
    for session in ["poor", "rich"] {
        let chat = world.chat(&token, &hello(json!({ "max_tokens": 5 }))).header("x-session-id", session);
        assert_eq!(send(chat).await.status, 200);
    }
    let usage = send(world.get_gateway("/v1/usage").bearer_auth(&token)).await.json();
    let budgets: Vec<_> =
        usage["sessions"].as_array().unwrap().iter().map(|row| (&row["session_id"], &row["budget"])).collect();
    let (rich, poor) = (json!({ "cost_usd": 0.5 }), json!({ "tokens": 1000 }));
    assert_eq!(budgets, [(&json!("rich"), &rich), (&json!("poor"), &poor)]);

    let (world, _) = self::world(HONEST, &[]).await;
    let token = world.minted("ada").await;
    assert_eq!(send(world.chat(&token, &hello(json!({ "max_tokens": 5 })))).await.status, 200);
    let usage = send(world.get_gateway("/v1/usage").bearer_auth(&token)).await.json();
    assert!(usage["sessions"][0].get("budget").is_none(), "{usage}");
}

#[tokio::test]
async fn what_is_no_text_counts_too() {
    let (world, calls) = world(HONEST, &["user=20000"]).await;
    let token = world.minted("ada").await;
    let long = "x".repeat(100_000);
    let tool = json!([{ "type": "function", "function": { "name": "f", "description": long, "parameters": {} } }]);
    let call = json!([{ "id": "c", "type": "function", "function": { "name": "f", "arguments": long } }]);
    for body in [
        hello(json!({ "tools": tool })),
        hello(json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": { "title": long } } } })),
        json!({ "messages": [{ "role": "assistant", "tool_calls": call }] }),
    ] {
        assert_eq!(send(world.chat(&token, &body)).await.refusal(), (402, "budget_exceeded".to_owned()));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    let small = json!([{ "type": "image_url", "image_url": { "url": "http://localhost/a.png" } }]);
    let body = json!({ "messages": [{ "role": "user", "content": small }], "max_tokens": 5 });
    assert_eq!(send(world.chat(&token, &body)).await.status, 200);
}

#[tokio::test]
async fn an_image_has_room_for_what_it_costs_with_any_model() {
    let (url, calls) = model(HONEST).await;
    let upstream = Some(Upstream { url, key: None, model: None, silence: DEADLINE });
    let budgets = vec!["session=60000".parse().unwrap()];
    let world = World::with(Config { upstream, budgets, ..config() }).await;
    let token = world.minted("ada").await;
    let ask = async |parts: Value| {
        let body = json!({ "messages": [{ "role": "user", "content": parts }], "max_tokens": 5 });
        send(world.chat(&token, &body)).await
    };
    let small = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo" } });
    for image in [
        small.clone(),
        json!({ "type": "image_url", "image_url": { "url": "http://localhost/a.png" }, "cache_control": {} }),
        json!({ "type": "image", "source": { "type": "url", "url": "http://localhost/a.png" } }),
        json!({ "type": "input_image", "image_url": "http://localhost/a.png" }),
    ] {
        assert_eq!(ask(json!([image, image])).await.refusal(), (402, "budget_exceeded".to_owned()), "{image}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(ask(json!([small])).await.status, 200);
}

#[tokio::test]
async fn a_text_of_single_byte_tokens_has_room_for_all_of_them() {
    // Each digit is a token to some tokenizers, and each byte of a rare script.
    let (world, calls) = world(HONEST, &["session=5000"]).await;
    let token = world.minted("ada").await;
    for text in ["7".repeat(5000), "\u{1f9ff}".repeat(1250)] {
        let body = json!({ "messages": [{ "role": "user", "content": text }], "max_tokens": 5 });
        assert_eq!(send(world.chat(&token, &body)).await.refusal(), (402, "budget_exceeded".to_owned()));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_whole_reply_of_a_model_that_ignores_the_limit_is_cut() {
    for counts in [true, false] {
        let (world, _) = world(Habits { ignores_limits: true, counts, ..HONEST }, &["session=1000"]).await;
        let token = world.minted("ada").await;
        let body = hello(json!({ "max_tokens": 10 }));
        let answer = send(world.chat(&token, &body).header("x-thread-id", "t1")).await;
        let choice = &answer.json()["choices"][0];
        assert_eq!(choice["finish_reason"], "length");
        let words = choice["message"]["content"].as_str().unwrap().split_whitespace().count();
        assert!((1..=if counts { 10 } else { 32 }).contains(&words), "{words}");
        let row = world.running.admin().usage().await.unwrap().remove(0);
        assert_eq!((row.outcome.as_str(), row.output_tokens), ("length", 10));
        let messages = send(world.get_gateway("/v1/threads/t1/messages").bearer_auth(&token)).await.json();
        assert_eq!(messages[1]["content"], choice["message"]["content"], "the thread keeps no more");
    }
}

#[tokio::test]
async fn an_absurd_limit_harms_nobody() {
    let budgets = vec!["user=1000000".parse().unwrap()];
    let world = World::with(Config { budgets, pace: DEADLINE, ..config() }).await;
    let (ada, bob) = (world.minted("ada").await, world.minted("bob").await);
    world.running.admin().set_budget("user:ada=9223372036854775807".parse().unwrap()).await.unwrap();
    let mut body = hello(json!({ "max_tokens": i64::MAX, "n": 128, "stream": true }));
    let held = world.chat(&ada, &body).send().await.unwrap();
    let again = world.chat(&ada, &body).send().await.unwrap();
    assert_eq!((held.status().as_u16(), again.status().as_u16()), (200, 200));
    body["max_tokens"] = json!(5);
    body["stream"] = json!(false);
    assert_eq!(send(world.chat(&bob, &body)).await.status, 200);
}

#[tokio::test]
async fn the_built_in_responder_counts_what_it_is_sent() {
    let world = World::with(config()).await;
    let token = world.minted("ada").await;
    let tool = json!([{ "type": "function", "function": { "name": "f", "description": "x".repeat(4000) } }]);
    let answer = send(world.chat(&token, &hello(json!({ "tools": tool })))).await.json();
    assert!(answer["usage"]["prompt_tokens"].as_i64().unwrap() > 1000, "{answer}");
}

/// One part of a request each, put together at random.
fn request() -> impl Strategy<Value = (Map<String, Value>, usize, usize)> {
    let size = prop_oneof![0_usize..50, 50_usize..4000];
    let text = size.prop_map(|size| "word ".repeat(size / 5 + 1));
    let limit = prop_oneof![
        Just(Value::Null),
        (0_i64..300).prop_map(Value::from),
        Just(json!(100_000)),
        Just(json!(i64::MAX)),
        Just(json!(1e6)),
        Just(json!("7")),
    ];
    let content = (text.clone(), 0..4).prop_map(|(text, kind)| match kind {
        0 => json!([{ "type": "text", "text": text }]),
        1 => json!([{ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{text}") } }]),
        2 => json!([{ "type": "input_audio", "input_audio": { "data": text } }, { "type": "text", "text": "?" }]),
        _ => json!(text),
    });
    let message = (content, prop_oneof![Just("user"), Just("assistant"), Just("system")], any::<bool>(), text.clone());
    let message = message.prop_map(|(content, role, calls, arguments)| {
        let mut message = json!({ "role": role, "content": content });
        if calls {
            message["tool_calls"] =
                json!([{ "id": "c", "type": "function", "function": { "name": "f", "arguments": arguments } }]);
        }
        message
    });
    let shape = (prop::collection::vec(message, 1..4), limit.clone(), limit, any::<bool>(), prop::option::of(1..4));
    (shape, prop::option::of(text), 0..3_usize, 0..2_usize).prop_map(|(shape, tool, session, user)| {
        let (messages, max_tokens, max_completion_tokens, stream, n) = shape;
        let mut body = Map::new();
        body.insert("messages".into(), messages.into());
        body.insert("stream".into(), stream.into());
        for (name, value) in [("max_tokens", max_tokens), ("max_completion_tokens", max_completion_tokens)] {
            if !value.is_null() {
                body.insert(name.into(), value);
            }
        }
        body.extend(n.map(|n| ("n".to_owned(), json!(n))));
        body.extend(tool.map(|text| {
            let tool = json!([{ "type": "function", "function": { "name": "f", "description": text } }]);
            ("tools".to_owned(), tool)
        }));
        (body, session, user)
    })
}

fn habits() -> impl Strategy<Value = Habits> {
    let habits = (any::<bool>(), any::<bool>(), prop_oneof![Just(1_usize), 2_usize..40]);
    habits.prop_map(|(ignores_limits, counts, words_in_chunk)| Habits { ignores_limits, counts, words_in_chunk })
}

/// Each budget with what was spent of it.
async fn check(world: &World) -> Result<(), TestCaseError> {
    let rows = world.running.admin().usage().await.unwrap();
    let sum = |user: Option<&str>, session: Option<&str>| -> i64 {
        let of = rows.iter().filter(|row| user.is_none_or(|user| row.user_id == user));
        let of = of.filter(|row| session.is_none_or(|session| row.session_id == session));
        of.map(|row| row.input_tokens + row.output_tokens).sum()
    };
    prop_assert!(sum(None, None) <= PROJECT, "project {}", sum(None, None));
    for user in USERS {
        prop_assert!(sum(Some(user), None) <= USER, "{user} {}", sum(Some(user), None));
        for session in SESSIONS {
            let spent = sum(Some(user), Some(session));
            prop_assert!(spent <= SESSION, "{user} {session} {spent}");
        }
    }
    Ok(())
}

const PROJECT: i64 = 12_000;
const USER: i64 = 8_000;
const SESSION: i64 = 5_000;
const USERS: [&str; 2] = ["ada", "bob"];
const SESSIONS: [&str; 3] = ["a", "b", "c"];

#[test]
fn requests_of_every_shape_from_fifty_tasks_never_pass_a_budget() {
    let runtime = Runtime::new().unwrap();
    let settings = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    let all = (habits(), prop::collection::vec(request(), 50));
    let outcome = TestRunner::new(settings).run(&all, |(habits, requests)| {
        runtime.block_on(async {
            let (project, user, session) =
                (format!("project={PROJECT}"), format!("user={USER}"), format!("session={SESSION}"));
            let (world, _) = world(habits, &[&project, &user, &session]).await;
            let tokens = [world.minted("ada").await, world.minted("bob").await];
            let calls = requests.into_iter().map(|(body, session, user)| {
                let call = world.chat(&tokens[user], &Value::Object(body)).header("x-session-id", SESSIONS[session]);
                tokio::spawn(send(call))
            });
            for answer in join_all(calls).await {
                let answer = answer.unwrap();
                let (status, code) = (answer.status.as_u16(), answer.text.clone());
                prop_assert!(matches!(status, 200 | 402 | 429), "{status} {code}");
            }
            check(&world).await
        })
    });
    outcome.unwrap();
}
