//! The user's plan, read under the user's own token, and policies of one's own.

use std::time::Duration;

use behest_client::server::{Grant, HttpError, Settings, TokenEndpoint, User};
use behest_client::{Error, Reason};
use serde_json::{Value, json};

use crate::support::*;

async fn tier(world: &World) -> Value {
    let response = world.post(&session()).await;
    assert_eq!(response.status(), 200, "{:?}", response.body());
    let calls = world.http.calls(MINT);
    serde_json::from_slice::<Value>(calls.last().unwrap().body()).unwrap()["tier"].clone()
}

#[tokio::test]
async fn the_plan_is_asked_for_as_the_user() {
    let world = World::new();
    let token = session();
    world.post(&token).await;
    let calls = world.http.calls(PROFILES);
    let call = &calls[0];
    assert_eq!(call.method(), "GET");
    assert_eq!(call.uri().to_string(), format!("{PROJECT}{PROFILES}?select=plan&id=eq.{USER}"));
    assert_eq!(call.headers()["authorization"], format!("Bearer {token}"));
    assert_eq!(call.headers()["apikey"], "sb_publishable_1");
    assert_eq!(call.headers()["accept"], "application/vnd.pgrst.object+json");
    assert!(call.headers()["authorization"].is_sensitive() && call.headers()["apikey"].is_sensitive());
}

#[tokio::test]
async fn the_plan_can_be_asked_for_with_the_secret_key() {
    let secret = ("SUPABASE_SECRET_KEYS", r#"{"jobs":"sb_secret_jobs","default":"sb_secret_1"}"#);
    let world = World::with(&[("PLAN_WITH_SECRET_KEY", "true"), secret], |settings| settings);
    world.post(&session()).await;
    let calls = world.http.calls(PROFILES);
    let call = &calls[0];
    assert_eq!(call.uri().to_string(), format!("{PROJECT}{PROFILES}?select=plan&id=eq.{USER}"));
    assert_eq!(call.headers()["apikey"], "sb_secret_1");
    assert!(call.headers()["apikey"].is_sensitive() && !call.headers().contains_key("authorization"));

    let missing = Settings::from_lookup(lookup(&[])).plan_with_secret_key(true);
    let missing = TokenEndpoint::new(missing).unwrap_err();
    assert!(missing.message().contains("SUPABASE_SECRET_KEYS"), "{}", missing.message());
}

/// What Supabase says to who sends no key. To try again helps nobody.
#[tokio::test]
async fn a_missing_publishable_key_is_named() {
    let refusal = || answer(401, json!({"message": "No API key found in request"}));
    for (key, reason, named) in [("", "misconfigured", true), ("sb_publishable_1", "plan_unavailable", false)] {
        let world = World::with(&[("SUPABASE_PUBLISHABLE_KEY", key)], |settings| settings);
        world.http.on(PROFILES, move |_| refusal());
        let response = world.post(&session()).await;
        let said: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(said["code"], reason);
        assert_eq!(said["message"].as_str().unwrap().contains("SUPABASE_PUBLISHABLE_KEY is not set"), named, "{said}");
    }
}

#[tokio::test]
async fn an_id_cannot_widen_the_question() {
    let world = World::new();
    world.post(&session_with(json!({"sub": "x&id=neq.x&select=*"}))).await;
    let query = world.http.calls(PROFILES)[0].uri().query().unwrap().to_owned();
    assert_eq!(query, "select=plan&id=eq.x%26id%3Dneq.x%26select%3D*");
}

#[tokio::test]
async fn words_become_tiers() {
    let world = World::new();
    let cases = [
        (200, json!({"plan": "free"}), 1),
        (200, json!({"plan": "pro"}), 2),
        (200, json!({"plan": "max"}), 3),
        (200, json!({"plan": "Pro "}), 2),
        (200, json!({"plan": "platinum"}), 1),
        (200, json!({"plan": null}), 1),
        (200, json!({"plan": 3}), 1),
        (200, json!({}), 1),
        (406, json!({"code": "PGRST116", "details": "The result contains 0 rows"}), 1),
        (404, json!({"code": "PGRST205", "message": "no such table"}), 1),
        (404, json!({"code": "42P01"}), 1),
        (400, json!({"code": "42703", "message": "no such column"}), 1),
    ];
    for (status, reply, expected) in cases {
        let name = format!("{status} {reply}");
        world.http.on(PROFILES, move |_| answer(status, reply.clone()));
        assert_eq!(tier(&world).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_plan_that_cannot_be_read_is_no_free_plan_and_no_paid_one() {
    let cases = [
        answer(401, json!({"code": "PGRST301"})),
        answer(401, json!({"message": "No API key found in request"})),
        answer(403, json!({"code": "42501"})),
        answer(404, json!({"message": "no such path"})),
        answer(406, json!({"code": "PGRST106"})),
        answer(302, json!({})),
        answer(500, json!({})),
        answer(503, json!({"code": "PGRST002"})),
        answer(200, json!([{"plan": "max"}])),
        answer(200, json!(3)),
        Ok(http::Response::new(bytes::Bytes::from_static(b"<html>"))),
        Err(HttpError::Timeout),
        Err(HttpError::TooLarge),
        Err(HttpError::Failed("connection refused".into())),
    ];
    let world = World::new();
    for reply in cases {
        let name = format!("{reply:?}");
        world.http.on(PROFILES, move |_| match &reply {
            Ok(response) => {
                let mut copy = http::Response::new(response.body().clone());
                *copy.status_mut() = response.status();
                Ok(copy)
            }
            Err(error) => Err(error.clone()),
        });
        let response = world.post(&session()).await;
        assert_eq!(refusal(&response), (503, "plan_unavailable".to_owned()), "{name}");
    }
    assert_eq!(world.http.count(MINT), 0);
}

#[tokio::test]
async fn an_app_can_decide_for_itself() {
    let world = World::with(&[], |settings| {
        settings.policy(|user: User| async move {
            match user.claims()["email"].as_str() {
                Some("a@example.com") => Ok(Grant::tier(7).with_ttl(Duration::from_secs(300))),
                Some("broke@example.com") => Err(Error::new(Reason::QuotaExceeded, "the trial is over")),
                Some("greedy@example.com") => Ok(Grant::tier(1).with_ttl(Duration::from_secs(86_401))),
                Some("odd@example.com") => Err(Error::new(Reason::TokenExpired, "own words")),
                Some("plain@example.com") => Ok(Grant::default()),
                _ => Err(Error::new(Reason::Forbidden, "only customers may ask")),
            }
        })
    });
    let order = |index: usize| serde_json::from_slice::<Value>(world.http.calls(MINT)[index].body()).unwrap();
    assert_eq!(body(&world.post(&session()).await)["ttl"], 300);
    assert_eq!((order(0)["tier"].clone(), order(0)["ttl"].clone()), (json!(7), json!(300)));
    assert_eq!(world.http.count(PROFILES), 0);

    assert_eq!(world.post(&session_with(json!({"email": "plain@example.com"}))).await.status(), 200);
    assert_eq!(order(1).as_object().unwrap().keys().collect::<Vec<_>>(), ["session_id", "ttl", "user_id"]);

    let broke = world.post(&session_with(json!({"email": "broke@example.com"}))).await;
    assert_refused(&broke, 402, "quota_exceeded");
    assert_eq!(body(&broke)["error"]["message"], "the trial is over");
    assert_refused(&world.post(&session_with(json!({"email": "x@example.com"}))).await, 403, "forbidden");
    let odd = world.post(&session_with(json!({"email": "odd@example.com"}))).await;
    assert_refused(&odd, 500, "server_error");
    assert!(!body(&odd).to_string().contains("own words"));
    assert_refused(&world.post(&session_with(json!({"email": "greedy@example.com"}))).await, 500, "misconfigured");
    assert_eq!(world.http.count(MINT), 2);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_never_decides_is_given_up() {
    let world = World::with(&[], |settings| settings.policy(|_: User| std::future::pending()));
    let started = tokio::time::Instant::now();
    assert_refused(&world.post(&session()).await, 503, "plan_unavailable");
    assert_eq!(started.elapsed().as_secs(), 10);
}
