//! Supabase Auth: sign-up to sign-out.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{PASSWORD, World, jwt_part, send, signed};

#[tokio::test]
async fn a_session_is_signed_as_the_key_set_says() {
    let world = World::start().await;
    let ada = world.sign_up("Ada@Example.com").await;
    let answer = send(world.http.get(format!("{}/auth/v1/.well-known/jwks.json", world.running.supabase_url))).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=600"));
    let key = &answer.json()["keys"][0];
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str(), key["use"].as_str()),
        (Some("EC"), Some("P-256"), Some("sig"))
    );
    assert!(key.get("d").is_none(), "the private part must stay private");
    assert_eq!(jwt_part(&ada.access, 0), json!({ "alg": "ES256", "typ": "JWT", "kid": key["kid"] }));

    let decode = |text: &Value| URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap();
    let point = [vec![4], decode(&key["x"]), decode(&key["y"])].concat();
    let (message, signature) = ada.access.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();

    let claims = jwt_part(&ada.access, 1);
    assert_eq!(claims["iss"], format!("{}/auth/v1", world.running.supabase_url));
    assert_eq!(claims["sub"], ada.user);
    assert_eq!((claims["aud"].as_str(), claims["role"].as_str()), (Some("authenticated"), Some("authenticated")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(claims["email"], "ada@example.com");
    assert_eq!(claims["is_anonymous"], false);
    assert_eq!(claims["amr"][0]["method"], "password");
    assert_eq!(claims["session_id"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn from_sign_up_to_sign_out() {
    let world = World::start().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "data": { "name": "Ada" } });
    let answer = send(world.post_supabase("/auth/v1/signup", &body)).await;
    let session = answer.json();
    let ada = signed(&answer);
    assert_eq!(session["token_type"], "bearer");
    assert_eq!(session["expires_in"], 3600);
    assert_eq!(session["expires_at"], jwt_part(&ada.access, 1)["exp"]);
    assert_eq!(session["user"]["user_metadata"]["name"], "Ada");
    assert_eq!(session["user"]["identities"][0]["provider"], "email");

    let again = world.sign_in("ADA@example.com").await;
    assert_eq!(again.user, ada.user);
    let user = send(world.get_supabase("/auth/v1/user").bearer_auth(&again.access)).await;
    assert_eq!((user.status.as_u16(), user.json()["email"].as_str()), (200, Some("ada@example.com")));

    let local = send(world.post_supabase("/auth/v1/logout?scope=local", &Value::Null).bearer_auth(&again.access)).await;
    assert_eq!((local.status.as_u16(), local.text.as_str()), (204, ""));
    let gone = send(world.get_supabase("/auth/v1/user").bearer_auth(&again.access)).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["error_code"]), (403, &json!("session_not_found")));
    let stands = send(world.get_supabase("/auth/v1/user").bearer_auth(&ada.access)).await;
    assert_eq!(stands.status, 200, "another session of the same user");
    assert_eq!(world.refresh(&again.refresh).await.json()["error_code"], "refresh_token_not_found");
}

#[tokio::test]
async fn sign_out_ends_the_sessions_its_scope_names() {
    for (scope, standing) in [("", [false, false]), ("?scope=global", [false, false]), ("?scope=others", [true, false])]
    {
        let world = World::start().await;
        let here = world.sign_up("ada@example.com").await;
        let there = world.sign_in("ada@example.com").await;
        let path = format!("/auth/v1/logout{scope}");
        assert_eq!(send(world.post_supabase(&path, &Value::Null).bearer_auth(&here.access)).await.status, 204);
        for (session, stands) in [here, there].iter().zip(standing) {
            let user = send(world.get_supabase("/auth/v1/user").bearer_auth(&session.access)).await;
            assert_eq!(user.status == 200, stands, "{scope}: {}", user.text);
        }
    }
}

#[tokio::test]
async fn an_anonymous_user_is_marked_as_one() {
    let world = World::start().await;
    let guest = signed(&send(world.post_supabase("/auth/v1/signup", &json!({}))).await);
    let claims = jwt_part(&guest.access, 1);
    assert_eq!(claims["is_anonymous"], true);
    assert_eq!(claims["amr"][0]["method"], "anonymous");
    let user = send(world.get_supabase("/auth/v1/user").bearer_auth(&guest.access)).await.json();
    assert_eq!((&user["is_anonymous"], &user["email"], &user["identities"]), (&json!(true), &json!(""), &json!([])));
}

#[tokio::test]
async fn refresh_tokens_rotate_and_forgive_what_honest_clients_do() {
    let world = World::start().await;
    let first = world.sign_up("ada@example.com").await;
    let second = signed(&world.refresh(&first.refresh).await);
    assert_ne!(second.refresh, first.refresh);
    let claim = |token: &str| jwt_part(token, 1)["session_id"].clone();
    assert_eq!(claim(&second.access), claim(&first.access), "the session stays the same");

    world.running.clock().advance(Duration::from_secs(60));
    let lost = signed(&world.refresh(&first.refresh).await);
    assert_eq!(lost.refresh, second.refresh, "a reply that never arrived: the current token comes again");

    let third = signed(&world.refresh(&second.refresh).await);
    let fourth = signed(&world.refresh(&third.refresh).await);
    let race = signed(&world.refresh(&second.refresh).await);
    assert!(![&third.refresh, &fourth.refresh].contains(&&race.refresh), "within the interval: a token of its own");
    assert_eq!(world.refresh(&fourth.refresh).await.status, 200, "and the other tab's goes on");
}

#[tokio::test]
async fn a_stolen_refresh_token_revokes_its_family_alone() {
    let world = World::start().await;
    let first = world.sign_up("ada@example.com").await;
    let elsewhere = world.sign_in("ada@example.com").await;
    let second = signed(&world.refresh(&first.refresh).await);
    let third = signed(&world.refresh(&second.refresh).await);
    world.running.clock().advance(Duration::from_secs(11));
    let stolen = world.refresh(&first.refresh).await;
    assert_eq!((stolen.status.as_u16(), &stolen.json()["error_code"]), (400, &json!("refresh_token_already_used")));
    let newest = world.refresh(&third.refresh).await;
    assert_eq!(newest.json()["error_code"], "refresh_token_already_used", "the thief's and the owner's both end");
    assert_eq!(world.refresh(&elsewhere.refresh).await.status, 200);
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_both_stay_signed_in() {
    let world = World::start().await;
    let first = world.sign_up("ada@example.com").await;
    let answers = futures_util::future::join_all((0..8).map(|_| world.refresh(&first.refresh))).await;
    for answer in answers {
        let session = signed(&answer);
        assert_eq!(world.refresh(&session.refresh).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_the_format_asked_for() {
    let world = World::start().await;
    world.sign_up("ada@example.com").await;
    let cases = [
        ("/signup", json!({ "email": "ada@example.com", "password": PASSWORD }), 422, "user_already_exists"),
        ("/signup", json!({ "email": "b@example.com", "password": "short" }), 422, "weak_password"),
        ("/signup", json!({ "email": "b@example.com" }), 400, "validation_failed"),
        ("/signup", json!({ "password": PASSWORD }), 400, "validation_failed"),
        ("/signup", json!({ "email": "no address", "password": PASSWORD }), 400, "validation_failed"),
        ("/signup", json!({ "email": "b@example.com", "password": "x".repeat(73) }), 400, "validation_failed"),
        ("/signup", json!({ "phone": "+491", "password": PASSWORD }), 422, "phone_provider_disabled"),
        ("/signup", json!([1]), 400, "bad_json"),
        (
            "/token?grant_type=password",
            json!({ "email": "ada@example.com", "password": "wrong" }),
            400,
            "invalid_credentials",
        ),
        (
            "/token?grant_type=password",
            json!({ "email": "nobody@example.com", "password": PASSWORD }),
            400,
            "invalid_credentials",
        ),
        ("/token?grant_type=password", json!({}), 400, "validation_failed"),
        ("/token?grant_type=refresh_token", json!({ "refresh_token": "unknown" }), 400, "refresh_token_not_found"),
        ("/token?grant_type=refresh_token", json!({}), 400, "validation_failed"),
        ("/token?grant_type=magic", json!({}), 400, "invalid_credentials"),
        ("/nothing", json!({}), 404, "not_found"),
        ("/user", json!({}), 405, "method_not_allowed"),
        ("/logout", json!({}), 401, "no_authorization"),
    ];
    for (path, body, status, code) in cases {
        let path = format!("/auth/v1{path}");
        let old = send(world.post_supabase(&path, &body)).await;
        let text = old.json()["msg"].as_str().unwrap_or_default().to_owned();
        assert!(!text.is_empty(), "{path}: {}", old.text);
        assert_eq!(
            (old.json()["code"].as_u64(), old.json()["error_code"].as_str()),
            (Some(status), Some(code)),
            "{path}"
        );
        assert_eq!(old.header("x-supabase-api-version"), None);
        let new = send(world.post_supabase(&path, &body).header("x-supabase-api-version", "2024-01-01")).await;
        assert_eq!(
            (new.json()["code"].as_str(), new.json()["message"].as_str()),
            (Some(code), Some(text.as_str())),
            "{path}"
        );
        assert_eq!(new.header("x-supabase-api-version"), Some("2024-01-01"));
        for answer in [old, new] {
            assert_eq!(
                (u64::from(answer.status.as_u16()), answer.header("x-sb-error-code")),
                (status, Some(code)),
                "{path}"
            );
        }
    }
    let weak =
        send(world.post_supabase("/auth/v1/signup", &json!({ "email": "c@example.com", "password": "abc" }))).await;
    assert_eq!(weak.json()["weak_password"]["reasons"], json!(["length"]));
}

#[tokio::test]
async fn the_platform_wants_the_projects_key() {
    let world = World::start().await;
    let url = format!("{}/auth/v1/signup", world.running.supabase_url);
    let none = send(world.http.post(&url).body("{}")).await;
    assert_eq!((none.status.as_u16(), none.json()["message"].as_str()), (401, Some("No API key found in request")));
    let wrong = send(world.http.post(&url).header("apikey", "sb_publishable_0").body("{}")).await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["message"].as_str()), (401, Some("Invalid API key")));
    let in_query = format!("{url}?apikey={}", world.running.publishable_key);
    assert_eq!(send(world.http.post(in_query).body("{}")).await.status, 200);
    let health = send(world.http.get(format!("{}/auth/v1/health", world.running.supabase_url))).await;
    assert_eq!(health.status, 200, "open, as the key set is");
}

#[tokio::test]
async fn any_page_may_sign_in_but_only_with_the_headers_supabase_js_sends() {
    let world = World::start().await;
    let url = format!("{}/auth/v1/token", world.running.supabase_url);
    let asked = "apikey,authorization,content-type,x-client-info,x-supabase-api-version,traceparent,tracestate,baggage";
    let preflight = world
        .http
        .request(http::Method::OPTIONS, &url)
        .header("origin", "https://anywhere.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", asked);
    let answer = send(preflight).await;
    assert!(answer.status.is_success());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let allowed: Vec<_> = answer.header("access-control-allow-headers").unwrap().split(',').collect();
    for name in asked.split(',') {
        assert!(allowed.contains(&name), "{name}");
    }
    for name in ["*", "x-session-id", "x-region"] {
        assert!(!allowed.contains(&name), "{name}");
    }
    let error = send(world.http.post(&url).header("origin", "https://anywhere.example")).await;
    assert_eq!((error.status.as_u16(), error.header("access-control-allow-origin")), (401, Some("*")), "errors too");
}
