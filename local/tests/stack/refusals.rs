//! What the gateway refuses, each with its status, its code and a message.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, World, jwt_with, send};

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": "Hello there" }] })
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, why: &str) {
    assert_eq!(answer.refusal(), (status, code.to_owned()), "{why}");
    let body = answer.json();
    assert!(body["error"]["message"].as_str().unwrap().contains(why), "{why}: {body}");
    assert!(answer.header("x-trace-id").is_some());
}

#[tokio::test]
async fn the_mint_checks_the_key_and_every_field() {
    let world = World::start().await;
    let long = "u".repeat(256);
    let cases = [
        (json!({}), "user_id is missing"),
        (json!({ "user_id": "" }), "user_id must be"),
        (json!({ "user_id": long }), "user_id must be"),
        (json!({ "user_id": 7 }), "not the documented JSON"),
        (json!({ "user_id": "admin" }), "reserved"),
        (json!({ "user_id": "dashboard-service" }), "reserved"),
        (json!({ "user_id": "ada", "ttl": 59 }), "60 to 86400"),
        (json!({ "user_id": "ada", "ttl": 86_401 }), "60 to 86400"),
        (json!({ "user_id": "ada", "ttl": -1 }), "not the documented JSON"),
        (json!({ "user_id": "ada", "role": "root" }), "role must be"),
        (json!({ "user_id": "ada", "tier": 0 }), "tier must be"),
        (json!({ "user_id": "ada", "tier": "gold" }), "tier must be"),
        (json!({ "user_id": "ada", "session_id": "" }), "session_id must be"),
        (json!({ "user_id": "ada", "session_id": "a\nb" }), "session_id must be"),
        (json!("ada"), "not the documented JSON"),
    ];
    for (body, why) in cases {
        assert_refused(&world.mint(&body).await, 400, "validation_error", why);
    }
    let body = json!({ "user_id": "ada" });
    let none = send(world.post_gateway("/v1/auth/mint", &body)).await;
    assert_refused(&none, 401, "invalid_token", "Authorization: Bearer");
    let token = world.minted("ada").await;
    for wrong in ["behest_sk_live_0", token.as_str()] {
        let answer = send(world.post_gateway("/v1/auth/mint", &body).bearer_auth(wrong)).await;
        assert_refused(&answer, 401, "invalid_token", "not the project's");
    }
    let huge = json!({ "user_id": "ada", "padding": "x".repeat(70_000) });
    assert_refused(&world.mint(&huge).await, 413, "validation_error", "too large");
}

#[tokio::test]
async fn only_a_valid_token_of_this_gateway_gets_an_answer() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let session = world.sign_up("ada@example.com").await.access;
    let stranger = World::start().await.minted("ada").await;
    let cases = [
        (jwt_with(&token, 1, |claims| claims["uid"] = json!("bob")), "signature"),
        (jwt_with(&token, 1, |claims| claims["exp"] = json!(9_999_999_999_i64)), "signature"),
        (jwt_with(&token, 0, |header| header["alg"] = json!("none")), "algorithm"),
        (jwt_with(&token, 0, |header| header["alg"] = json!("HS256")), "algorithm"),
        (jwt_with(&token, 0, |header| header["kid"] = json!("other")), "kid"),
        (format!("{}.", token.rsplit_once('.').unwrap().0), "signature"),
        (stranger, "kid"),
        (session, "algorithm"),
        (world.running.behest_key.expose().clone(), "API key"),
        ("garbage".to_owned(), "not a JWT"),
    ];
    for (wrong, why) in cases {
        assert_refused(&send(world.chat(&wrong, &hello())).await, 401, "invalid_token", why);
    }
    for path in ["/v1/usage", "/v1/billing/usage", "/v1/models"] {
        assert_refused(&send(world.get_gateway(path)).await, 401, "invalid_token", "Authorization: Bearer");
    }
    world.running.clock().rewind(Duration::from_secs(5));
    assert_refused(&send(world.chat(&token, &hello())).await, 401, "invalid_token", "not valid yet");
    world.running.clock().advance(Duration::from_secs(5 + 3600));
    assert_refused(&send(world.chat(&token, &hello())).await, 401, "invalid_token", "expired");
    assert_eq!(world.running.admin().usage().await.unwrap(), [], "a refused request costs nothing");
}

#[tokio::test]
async fn a_request_the_gateway_cannot_read_is_refused_before_the_upstream() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let cases = [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "messages"),
        (r#"{"messages":[]}"#, "messages"),
        (r#"{"messages":"Hi"}"#, "messages"),
        (r#"{"messages":["Hi"]}"#, "role"),
        (r#"{"messages":[{"content":"Hi"}]}"#, "role"),
        (r#"{"messages":[{"role":"user"}],"model":5}"#, "model"),
        (r#"{"messages":[{"role":"user"}],"stream":"yes"}"#, "stream"),
    ];
    for (body, why) in cases {
        let answer = send(world.chat(&token, &Value::Null).body(body)).await;
        assert_refused(&answer, 400, "validation_error", why);
    }
    let bad_session = send(world.chat(&token, &hello()).header("x-session-id", "x".repeat(256))).await;
    assert_refused(&bad_session, 400, "validation_error", "X-Session-Id");
    assert_eq!(world.running.admin().usage().await.unwrap(), []);
}

#[tokio::test]
async fn usage_of_others_and_impossible_windows_are_refused() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let ask = |query: &str| send(world.get_gateway(&format!("/v1/usage?{query}")).bearer_auth(&token));
    assert_refused(&ask("user_id=bob").await, 403, "forbidden", "own user");
    assert_refused(&ask("from=yesterday").await, 400, "validation_error", "from must be");
    assert_refused(&ask("from=2026-02-02&to=2026-01-01").await, 400, "validation_error", "later than");
    assert_refused(&ask("granularity=year").await, 400, "validation_error", "granularity");
}

#[tokio::test]
async fn unknown_paths_and_methods_have_the_same_shape() {
    let world = World::start().await;
    assert_refused(&send(world.get_gateway("/v1/embeddings")).await, 404, "not_found", "nothing");
    assert_refused(&send(world.get_gateway("/v1/chat/completions")).await, 405, "method_not_allowed", "method");
    for path in ["/functions/v1/other", "/functions/v1/%ff", "/functions/v1/behest-token/%ff"] {
        let function = send(world.post_supabase(path, &Value::Null)).await;
        assert_eq!((function.status.as_u16(), function.header("sb-error-code")), (404, Some("NOT_FOUND")), "{path}");
    }
}

#[tokio::test]
async fn pages_can_read_that_a_part_of_supabase_is_missing() {
    let world = World::start().await;
    for path in ["/storage/v1/bucket", "/graphql/v1", "/auth/v1/", "/"] {
        let url = format!("{}{path}", world.running.supabase_url);
        let preflight = world.http.request(Method::OPTIONS, &url).header("origin", "https://page.example");
        let preflight = preflight.header("access-control-request-method", "POST");
        let allowed = send(preflight.header("access-control-request-headers", "authorization,x-upsert")).await;
        assert_eq!(allowed.header("access-control-allow-headers"), Some("authorization,x-upsert"), "{path}");
        let answer = send(world.http.post(&url).header("origin", "https://page.example")).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (404, Some("*")), "{path}");
        assert!(answer.json()["message"].as_str().unwrap().contains("behest-local has"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_such() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let chat = |encoding: &str| {
        let body = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
        send(world.chat(&token, &body).header("content-encoding", encoding))
    };
    assert_refused(&chat("gzip").await, 415, "validation_error", "Content-Encoding");
    assert_eq!(chat("identity").await.status, 200);
}

/// Bytes that are no text, and parameters that come twice: the framework would answer in its own words.
#[tokio::test]
async fn what_cannot_be_read_of_an_address_is_said_in_the_servers_own_shape() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    for path in ["/v1/threads/%ff", "/v1/threads/%ff/messages", "/v1/models/%ff"] {
        let answer = send(world.get_gateway(path).bearer_auth(&token)).await;
        assert_refused(&answer, 400, "validation_error", "UTF-8");
    }
    let key = world.secret_key().await;
    for (method, path) in [
        (Method::GET, "/verify?type=email&type=email"),
        (Method::POST, "/otp?redirect_to=a&redirect_to=b"),
        (Method::POST, "/recover?redirect_to=a&redirect_to=b"),
        (Method::POST, "/invite?redirect_to=a&redirect_to=b"),
        (Method::GET, "/admin/users?page=1&page=2"),
        (Method::GET, "/admin/users/%ff"),
        (Method::DELETE, "/admin/users/%ff"),
    ] {
        let url = format!("{}/auth/v1{path}", world.running.supabase_url);
        let answer = send(world.http.request(method, url).header("apikey", &key).body("{}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error_code"]),
            (400, &json!("validation_failed")),
            "{path}"
        );
    }
    let row = send(world.get_supabase("/rest/v1/%ff")).await;
    assert_eq!((row.status.as_u16(), &row.json()["code"]), (404, &json!("PGRST125")));
}
