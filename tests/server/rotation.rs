//! The published key set: fetched once, renewed when keys rotate, missed gracefully.

use std::sync::Arc;
use std::time::Duration;

use behest_client::server::{Clock, Guard, HttpError, Mode, Settings};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::*;

fn named(key: &Key, kid: &str) -> String {
    let valid = json!({"exp": NOW + 100_000});
    jwt(key, json!({"alg": "ES256", "kid": kid}), &claims(valid))
}

fn publish(world: &World, keys: Vec<Value>) {
    world.http.on(JWKS, move |_| answer(200, json!({"keys": keys})));
}

#[tokio::test]
async fn the_set_is_fetched_once_in_ten_minutes() {
    let world = World::new();
    let token = named(&Key::project(), "current");
    for _ in 0..3 {
        assert_eq!(world.post(&token).await.status(), 200);
    }
    world.pass(599);
    assert_eq!(world.post(&token).await.status(), 200);
    assert_eq!(world.http.count(JWKS), 1);
    world.pass(1);
    assert_eq!(world.post(&token).await.status(), 200);
    assert_eq!(world.http.count(JWKS), 2);
}

#[tokio::test]
async fn any_number_of_first_requests_share_one_fetch() {
    for works in [true, false] {
        let world = World::new();
        if !works {
            world.http.on(JWKS, |_| Err(HttpError::Timeout));
        }
        let gate = world.http.hold();
        let token = session();
        let requests = join_all((0..100).map(|_| world.post(&token)));
        // Every request has been polled, and waits, before the gate opens.
        let (responses, ()) = tokio::join!(requests, async {
            tokio::task::yield_now().await;
            assert_eq!(world.http.all(), 1);
            gate.add_permits(1000);
        });
        assert_eq!(world.http.count(JWKS), 1, "works: {works}");
        let status = if works { 200 } else { 503 };
        assert!(responses.iter().all(|response| response.status() == status));
    }
}

#[tokio::test]
async fn whoever_shares_settings_shares_the_set() {
    let http = Arc::new(Fake::default());
    http.on(JWKS, |_| answer(200, json!({"keys": [Key::project().jwk("current")]})));
    let now = Clock::from_fn(|| Duration::from_secs(NOW));
    let settings = Settings::from_lookup(lookup(&[])).http(http.clone()).clock(now);
    let headers = post(&session()).headers().clone();
    let guards: Vec<_> = (0..3).map(|_| Guard::new(settings.clone(), [Mode::User]).unwrap()).collect();
    for guard in &guards {
        assert!(guard.authenticate(&headers).await.is_ok());
    }
    assert_eq!(http.count(JWKS), 1);
    let other = settings.supabase_jwks_url("https://keys.example.com/auth/v1/.well-known/jwks.json");
    assert!(Guard::new(other, [Mode::User]).unwrap().authenticate(&headers).await.is_ok());
    assert_eq!(http.count(JWKS), 2, "another address, another set");
}

/// Polls a request once and drops it: its caller hangs up.
fn hang_up(request: impl Future) {
    assert!(request.now_or_never().is_none(), "it waits for the key set");
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_the_fetch_to_the_others() {
    let world = World::new();
    let gate = world.http.hold();
    let token = session();
    hang_up(world.post(&token));
    gate.add_permits(1000);
    assert_eq!(world.post(&token).await.status(), 200);
    assert_eq!(world.http.count(JWKS), 1);
}

#[tokio::test]
async fn what_failed_for_a_caller_who_hung_up_is_tried_again() {
    let world = World::new();
    world.http.on(JWKS, |_| Err(HttpError::Timeout));
    let gate = world.http.hold();
    hang_up(world.post(&session()));
    let token = session();
    let mut behind = std::pin::pin!(world.post(&token));
    assert!((&mut behind).now_or_never().is_none());
    tokio::task::yield_now().await;
    publish(&world, vec![Key::project().jwk("current")]);
    gate.add_permits(1000);
    assert_eq!(behind.await.status(), 200);
    assert_eq!(world.http.count(JWKS), 2);
}

#[tokio::test]
async fn callers_with_made_up_kids_who_hang_up_cause_no_flood() {
    let world = World::new();
    assert_eq!(world.post(&session()).await.status(), 200);
    world.pass(30);
    let gate = world.http.hold();
    for number in 0..20 {
        hang_up(world.post(&named(&Key::p256(), &format!("made-up-{number}"))));
        tokio::task::yield_now().await;
    }
    gate.add_permits(1000);
    assert_refused(&world.post(&named(&Key::p256(), "another")).await, 401, "unknown_key");
    assert_eq!(world.http.count(JWKS), 2);
}

#[tokio::test]
async fn a_new_key_is_found_at_once_and_the_old_one_still_counts_while_published() {
    let world = World::new();
    let (old, new) = (Key::project(), Key::p256());
    assert_eq!(world.post(&named(&old, "current")).await.status(), 200);
    world.pass(60);
    publish(&world, vec![old.jwk("current"), new.jwk("next")]);
    assert_eq!(world.post(&named(&new, "next")).await.status(), 200);
    assert_eq!(world.post(&named(&old, "current")).await.status(), 200);
    assert_eq!(world.http.count(JWKS), 2);
    world.pass(600);
    publish(&world, vec![new.jwk("next")]);
    assert_refused(&world.post(&named(&old, "current")).await, 401, "unknown_key");
}

#[tokio::test]
async fn made_up_kids_cause_one_fetch_in_thirty_seconds() {
    let world = World::new();
    assert_eq!(world.post(&session()).await.status(), 200);
    world.pass(30);
    for number in 0..50 {
        let response = world.post(&named(&Key::p256(), &format!("made-up-{number}"))).await;
        assert_refused(&response, 401, "unknown_key");
    }
    assert_eq!(world.http.count(JWKS), 2);
    world.pass(29);
    let response = world.post(&named(&Key::p256(), "another")).await;
    assert_eq!(response.headers()["retry-after"], "1", "when the set may be asked for again");
    world.pass(1);
    assert_refused(&world.post(&named(&Key::p256(), "another")).await, 401, "unknown_key");
    assert_eq!(world.http.count(JWKS), 3);
}

#[tokio::test]
async fn a_set_that_cannot_be_had_is_an_outage_and_never_a_sign_out() {
    type Outage = fn() -> Answer;
    let outages: Vec<(&str, Outage)> = vec![
        ("timeout", || Err(HttpError::Timeout)),
        ("too large", || Err(HttpError::TooLarge)),
        ("refused", || Err(HttpError::Failed("connection refused".into()))),
        ("500", || answer(500, json!({"keys": []}))),
        ("redirect", || answer(302, json!({"keys": []}))),
        ("no JSON", || Ok(http::Response::new(bytes::Bytes::from_static(b"<html>")))),
        ("no keys", || answer(200, json!({"key": []}))),
    ];
    for (name, outage) in outages {
        let world = World::new();
        world.http.on(JWKS, move |_| outage());
        let response = world.post(&session()).await;
        assert_eq!(refusal(&response), (503, "jwks_unavailable".to_owned()), "{name}");
        assert_eq!(world.http.count(MINT), 0, "{name}");
        publish(&world, vec![Key::project().jwk("current")]);
        assert_eq!(world.post(&session()).await.status(), 200, "{name}: the next request tries again");
    }
}

#[tokio::test]
async fn during_an_outage_known_keys_serve_for_an_hour() {
    let world = World::new();
    let token = named(&Key::project(), "current");
    assert_eq!(world.post(&token).await.status(), 200);
    world.http.on(JWKS, |_| Err(HttpError::Timeout));
    world.pass(600);
    for _ in 0..10 {
        assert_eq!(world.post(&token).await.status(), 200);
    }
    assert_eq!(world.http.count(JWKS), 2, "a failed renewal is not repeated within the cool-down");
    let unknown = world.post(&named(&Key::p256(), "next")).await;
    assert_refused(&unknown, 503, "jwks_unavailable");
    assert_eq!(unknown.headers()["retry-after"], "30");
    world.pass(2999);
    assert_eq!(world.post(&token).await.status(), 200);
    world.pass(1);
    assert_refused(&world.post(&token).await, 503, "jwks_unavailable");
}

#[tokio::test]
async fn while_one_request_renews_the_set_the_others_use_the_old_one() {
    let world = World::new();
    let token = named(&Key::project(), "current");
    assert_eq!(world.post(&token).await.status(), 200);
    world.pass(600);
    let gate = world.http.hold();
    let mut renewing = std::pin::pin!(world.post(&token));
    assert!((&mut renewing).now_or_never().is_none());
    let mut other = std::pin::pin!(world.post(&token));
    assert!((&mut other).now_or_never().is_none());
    tokio::task::yield_now().await;
    assert_eq!((world.http.count(JWKS), world.http.count(PROFILES)), (2, 2), "the other one has gone on to the plan");
    gate.add_permits(1000);
    assert!(renewing.await.status().is_success() && other.await.status().is_success());
}

#[tokio::test]
async fn a_clock_set_back_does_not_freeze_the_set() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let time = Arc::new(AtomicU64::new(NOW + 50_000));
    let now = Arc::clone(&time);
    let clock = Clock::from_fn(move || Duration::from_secs(now.load(Ordering::SeqCst)));
    let world = World::with(&[], |settings| settings.clock(clock));
    let token = named(&Key::project(), "current");
    assert_eq!(world.post(&token).await.status(), 200);
    time.store(NOW, Ordering::SeqCst);
    assert_eq!(world.post(&token).await.status(), 200);
    assert_eq!(world.http.count(JWKS), 2);
}

#[tokio::test]
async fn unusable_entries_are_left_out_and_the_rest_still_serves() {
    let project = Key::project();
    let mut private = Key::p256().jwk("private");
    private["d"] = json!("AAAA");
    let encryption = |field: &str, value: Value| {
        let mut jwk = Key::p256().jwk("encryption");
        jwk[field] = value;
        jwk
    };
    let weak = json!({"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "gg".repeat(85)});
    // 256 bytes whose top bit is not set: 2047 bits.
    let short = json!({"kty": "RSA", "kid": "short", "e": "AQAB", "n": format!("{}Q", "f".repeat(341))});
    let off_curve = json!({"kty": "EC", "crv": "P-256", "kid": "off", "x": "A".repeat(43), "y": "A".repeat(43)});
    let set = vec![
        private,
        encryption("use", json!("enc")),
        encryption("key_ops", json!(["sign"])),
        encryption("alg", json!("ECDH-ES")),
        weak,
        short,
        off_curve,
        json!(null),
        json!({"kty": 7}),
        project.jwk("current"),
    ];
    let world = World::new();
    publish(&world, set);
    assert_eq!(world.post(&session()).await.status(), 200);
    for kid in ["private", "encryption", "weak", "off"] {
        assert_refused(&world.post(&named(&project, kid)).await, 401, "unknown_key");
    }
    let small = jwt(&Key::rsa(), json!({"alg": "RS256", "kid": "short"}), &claims(json!({})));
    assert_refused(&world.post(&small).await, 401, "unknown_key");
}

#[tokio::test]
async fn inline_keys_come_first_and_the_address_has_what_they_lack() {
    let inline = json!([Key::project().jwk("current")]).to_string();
    let world = World::with(&[("SUPABASE_JWKS", &inline)], |settings| settings);
    assert_eq!(world.post(&session()).await.status(), 200);
    assert_eq!(world.http.count(JWKS), 0);
    let next = Key::p256();
    publish(&world, vec![next.jwk("next")]);
    assert_eq!(world.post(&named(&next, "next")).await.status(), 200, "after a rotation");
    assert_refused(&world.post(&named(&Key::p256(), "x")).await, 401, "unknown_key");
    assert_refused(&world.post(&named(&next, "current")).await, 401, "invalid_signature");
    assert_eq!(world.http.count(JWKS), 1);

    let world = World::with(&[("SUPABASE_JWKS_URL", "https://keys.example.com/set")], |settings| settings);
    world.http.on("/set", |_| answer(200, json!({"keys": [Key::project().jwk("current")]})));
    assert_eq!(world.post(&session()).await.status(), 200);
    assert_eq!(world.http.calls("/set")[0].uri().host(), Some("keys.example.com"));
}

#[tokio::test]
async fn a_token_that_was_verified_before_ends_with_its_key_and_its_time() {
    let world = World::new();
    let token = named(&Key::project(), "current");
    for _ in 0..2 {
        assert_eq!(world.post(&token).await.status(), 200);
    }
    let [head, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("a token has three parts") };
    let others = session_with(json!({"sub": "somebody-else"}));
    let forged = format!("{head}.{}.{signature}", others.split('.').nth(1).unwrap());
    assert_refused(&world.post(&forged).await, 401, "invalid_signature");

    publish(&world, vec![Key::p256().jwk("current")]);
    world.pass(600);
    assert_refused(&world.post(&token).await, 401, "invalid_signature");
    publish(&world, vec![Key::project().jwk("current")]);
    world.pass(600);
    assert_eq!(world.post(&token).await.status(), 200);
    world.pass(100_000);
    assert_refused(&world.post(&token).await, 401, "token_expired");
}
