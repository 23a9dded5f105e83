//! The gateway: mint, chat, usage and CORS.

use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use behest_client::wire::{EXPOSED_HEADERS, GATEWAY_REQUEST_HEADERS};
use http::Method;
use serde_json::{Value, json};

use crate::support::{PAGE, World, events, in_time, jwt_part, send};

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": "Hello there" }] })
}

#[tokio::test]
async fn both_mint_paths_give_a_token_that_the_key_set_verifies() {
    let world = World::start().await;
    let jwks = send(world.get_gateway("/.well-known/jwks.json")).await.json();
    let key = &jwks["keys"][0];
    let decode = |text: &Value| URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap();
    let public = RsaPublicKeyComponents { n: decode(&key["n"]), e: decode(&key["e"]) };
    for path in ["/v1/auth/mint", "/auth/v1/auth/mint"] {
        let body = json!({ "user_id": "ada", "tier": 2, "ttl": 900, "session_id": "s 1", "role": "admin" });
        let answer = send(world.post_gateway(path, &body).bearer_auth(world.running.behest_key.expose())).await;
        let reply = answer.json();
        let fields: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["jwt", "project_id", "session_id", "ttl"]);
        assert_eq!((&reply["ttl"], &reply["session_id"]), (&json!(900), &json!("s 1")));
        let token = reply["jwt"].as_str().unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        public
            .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        assert_eq!(jwt_part(token, 0), json!({ "alg": "RS256", "typ": "JWT", "kid": key["kid"] }));
        let claims = jwt_part(token, 1);
        assert_eq!(claims["iss"], "behest-local");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
        assert_eq!(claims["nbf"], claims["iat"]);
        assert_eq!(claims["role"], "user", "an API key cannot raise a role");
        assert_eq!((&claims["uid"], &claims["sid"], &claims["tier"]), (&json!("ada"), &json!("s 1"), &json!(2)));
        assert_eq!(claims["pid"], reply["project_id"]);
    }
    let plain = world.mint(&json!({ "user_id": "ada" })).await.json();
    assert_eq!(plain["ttl"], 3600);
    assert_eq!(plain["session_id"].as_str().unwrap().len(), 36);
    let claims = jwt_part(plain["jwt"].as_str().unwrap(), 1);
    assert_eq!(claims.get("tier"), None);
    let named = world.mint(&json!({ "user_id": "ada", "tier": "max" })).await.json();
    assert_eq!(jwt_part(named["jwt"].as_str().unwrap(), 1)["tier"], 3);
}

#[tokio::test]
async fn a_chat_is_answered_whole_or_in_chunks_and_both_are_booked() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let whole = send(world.chat(&token, &hello())).await;
    let completion = whole.json();
    assert_eq!(completion["object"], "chat.completion");
    let text = completion["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert!(text.contains("Hello there"), "{text}");

    let mut body = hello();
    body["stream"] = json!(true);
    let streamed = send(world.chat(&token, &body).header("x-session-id", "conversation 7")).await;
    assert_eq!(streamed.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(streamed.header("cache-control"), Some("no-cache, no-transform"));
    assert_eq!(streamed.header("x-accel-buffering"), Some("no"));
    assert_eq!(streamed.header("content-encoding"), None);
    let mut events = events(&streamed.text);
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, text, "the same question has the same answer");
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()), "usage was not asked for");

    body["stream_options"] = json!({ "include_usage": true });
    let with_usage = crate::support::events(&send(world.chat(&token, &body)).await.text);
    let last: Value = serde_json::from_str(&with_usage[with_usage.len() - 2]).unwrap();
    assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &completion["usage"]));

    // No waiting: the row stands before the end of the answer is sent.
    let rows = world.running.admin().usage().await.unwrap();
    let trace_ids: Vec<_> = [&whole, &streamed].iter().map(|answer| answer.header("x-trace-id").unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row.request_id.as_str()).take(2).collect::<Vec<_>>(), trace_ids);
    assert_eq!(
        rows.iter().map(|row| row.session_id.as_str()).collect::<Vec<_>>(),
        ["minted", "conversation 7", "minted"]
    );
    for row in rows {
        assert_eq!((row.user_id.as_str(), row.outcome.as_str(), row.source.as_str()), ("ada", "complete", "counted"));
        assert_eq!(Some(row.output_tokens), completion["usage"]["completion_tokens"].as_i64());
        assert_eq!(row.cost_nanos, row.input_tokens * 100 + row.output_tokens * 400);
    }
}

#[tokio::test]
async fn a_token_limit_ends_the_answer_as_length() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let body = json!({ "messages": [{ "role": "user", "content": "Hi" }], "stream": true, "max_tokens": 2 });
    let answer = send(world.chat(&token, &body)).await;
    assert!(answer.text.contains("\"finish_reason\":\"length\""), "{}", answer.text);
    assert_eq!(world.counted("chat.length"), 1);
}

#[tokio::test]
async fn usage_is_the_callers_own_by_time_model_and_session() {
    let world = World::start().await;
    let ada = world.minted("ada").await;
    let bob = world.minted("bob").await;
    for (token, session) in [(&ada, "a"), (&ada, "b"), (&ada, "a"), (&bob, "c")] {
        world.running.clock().advance(Duration::from_secs(90));
        assert_eq!(send(world.chat(token, &hello()).header("x-session-id", session)).await.status, 200);
    }
    let usage = send(world.get_gateway("/v1/usage?granularity=minute").bearer_auth(&ada)).await.json();
    assert_eq!(usage["user_id"], "ada");
    assert_eq!(usage["totals"]["requests"], 3);
    let sessions = usage["sessions"].as_array().unwrap();
    let names: Vec<_> = sessions.iter().map(|row| (&row["session_id"], &row["requests"])).collect();
    assert_eq!(names, [(&json!("a"), &json!(2)), (&json!("b"), &json!(1))], "last used first");
    assert_eq!(usage["breakdown"].as_array().unwrap().len(), 3, "a slice for each minute that was used");
    let sum =
        |rows: &Value, name: &str| rows.as_array().unwrap().iter().map(|row| row[name].as_f64().unwrap()).sum::<f64>();
    let total = usage["totals"]["cost_usd"].as_f64().unwrap();
    assert!((sum(&usage["sessions"], "cost_usd") - total).abs() < 1e-12);
    assert!((sum(&usage["breakdown"], "cost_usd") - total).abs() < 1e-12);

    let billing = send(world.get_gateway("/v1/billing/usage").bearer_auth(&ada)).await.json();
    assert_eq!(billing["platform"]["requests"], 3);
    assert_eq!(billing["platform"]["by_model"][0]["model"], "behest-local");
    assert_eq!(billing["sessions"], usage["sessions"]);

    let cut = sessions[1]["last_used_at"].as_str().unwrap();
    let later = send(world.get_gateway(&format!("/v1/usage?from={cut}")).bearer_auth(&ada)).await.json();
    assert_eq!(later["totals"]["requests"], 2, "from is inclusive");
    let earlier = send(world.get_gateway(&format!("/v1/usage?to={cut}")).bearer_auth(&ada)).await.json();
    assert_eq!(earlier["totals"]["requests"], 1, "to is exclusive");
    let own = send(world.get_gateway("/v1/usage?user_id=ada").bearer_auth(&ada)).await;
    assert_eq!(own.status, 200);
}

#[tokio::test]
async fn models_are_listed() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let models = send(world.get_gateway("/v1/models").bearer_auth(&token)).await.json();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("behest-local")));
}

#[tokio::test]
async fn pages_of_the_list_may_call_and_errors_can_be_read() {
    let world = World::start().await;
    let preflight = |origin: &str| {
        let url = format!("{}/v1/chat/completions", world.running.gateway_url);
        let request = world.http.request(Method::OPTIONS, url).header("origin", origin);
        request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
    };
    for origin in [PAGE, "http://127.0.0.1:5173"] {
        let answer = send(preflight(origin)).await;
        assert!(answer.status.is_success());
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let normal = |list: &str| list.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        let allowed = normal(answer.header("access-control-allow-headers").unwrap());
        let ours = normal(GATEWAY_REQUEST_HEADERS);
        assert_eq!(allowed[..ours.len()], ours);
        assert!(allowed.iter().any(|name| name == "x-stainless-lang"), "pages may use OpenAI's library, too");
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        assert!(answer.header("vary").unwrap().contains("origin"));

        let refused = send(world.get_gateway("/v1/usage").header("origin", origin)).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("access-control-allow-origin"), Some(origin), "errors too");
        assert_eq!(normal(refused.header("access-control-expose-headers").unwrap()), normal(EXPOSED_HEADERS));
        assert!(refused.header("x-trace-id").is_some());
    }
    assert_eq!(world.counted("cors.refused"), 0);
    let wrong =
        ["https://evil.example", "http://localhost:5173/", "http://localhost:51730", "http://LOCALHOST:5173", "null"];
    for (number, origin) in (1..).zip(wrong) {
        let answer = send(preflight(origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        let token = world.minted("ada").await;
        let answer = send(world.chat(&token, &hello()).header("origin", origin)).await;
        assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("vary"), Some("origin"));
        assert_eq!(world.counted("cors.refused"), 2 * number);
    }
    assert_eq!(world.counted("chat"), 0, "a refused page reaches nothing");
}

#[tokio::test]
async fn a_caller_who_hangs_up_is_booked_for_what_was_sent() {
    // Slow enough that the answer cannot end before the caller has gone.
    let world =
        World::with(behest_local::Config { pace: Duration::from_millis(200), ..crate::support::config() }).await;
    let token = world.minted("ada").await;
    let mut body = hello();
    body["stream"] = json!(true);
    let mut response = in_time(world.chat(&token, &body).send()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("wrote") {
        heard.push_str(std::str::from_utf8(&in_time(response.chunk()).await.unwrap().unwrap()).unwrap());
    }
    drop(response);
    world.reached("chat.aborted", 1).await;
    let rows = world.running.admin().usage().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].outcome.as_str(), rows[0].source.as_str()), ("aborted", "estimated"));
    assert!((2..40).contains(&rows[0].output_tokens), "{:?}", rows[0]);
}
