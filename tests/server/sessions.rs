//! Which sessions are accepted, and the one reason for which each of the others is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

use crate::support::*;

fn es256(kid: &str) -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": kid})
}

#[tokio::test]
async fn a_good_session_gets_the_four_fields() {
    let world = World::new();
    let response = world.post(&session()).await;
    assert_eq!(response.status(), 200, "{:?}", response.body());
    assert_eq!(response.headers()["cache-control"], "no-store");
    let bundle = body(&response);
    let fields: Vec<_> = bundle.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["expiresAt", "sessionId", "token", "ttl"]);
    assert_eq!((bundle["ttl"].as_u64(), bundle["expiresAt"].as_u64()), (Some(900), Some(NOW + 900)));
    let order: Value = serde_json::from_slice(world.http.calls(MINT)[0].body()).unwrap();
    assert_eq!(order, json!({"user_id": USER, "tier": 1, "ttl": 900, "session_id": bundle["sessionId"]}));
}

#[tokio::test]
async fn every_algorithm_of_a_published_key_is_accepted() {
    let cases = [
        (Key::project(), "ES256"),
        (Key::rsa(), "RS256"),
        (Key::rsa(), "RS384"),
        (Key::rsa(), "RS512"),
        (Key::rsa(), "PS256"),
        (Key::ed25519(), "EdDSA"),
        (Key::ed25519(), "Ed25519"),
    ];
    for (key, algorithm) in cases {
        let world = World::new();
        let mut jwk = key.jwk("k");
        if algorithm == "Ed25519" {
            jwk["alg"] = json!("Ed25519");
        }
        world.http.on(JWKS, move |_| answer(200, json!({"keys": [jwk]})));
        let token = jwt(&key, json!({"alg": algorithm, "kid": "k"}), &claims(json!({})));
        assert_eq!(world.post(&token).await.status(), 200, "{algorithm}");
    }
}

#[tokio::test]
async fn hs256_needs_a_secret_of_the_settings() {
    let own = Key::Shared(SECRET.into());
    let inline = json!({"keys": [own.jwk("shared"), Key::project().jwk("current")]}).to_string();
    let nameless = json!([{"kty": "oct", "k": own.jwk("x")["k"]}]).to_string();
    let settings = [[("SUPABASE_JWT_SECRET", SECRET)], [("SUPABASE_JWKS", &inline)], [("SUPABASE_JWKS", &nameless)]];
    for extra in &settings {
        let world = World::with(extra, |settings| settings);
        let token = jwt(&own, json!({"alg": "HS256", "kid": "shared"}), &claims(json!({})));
        assert_eq!(world.post(&token).await.status(), 200, "{extra:?}");
        let other = Key::Shared(b"another-secret-of-at-least-thirty-two-bytes".to_vec());
        let forged = jwt(&other, json!({"alg": "HS256", "kid": "shared"}), &claims(json!({})));
        assert_refused(&world.post(&forged).await, 401, "invalid_signature");
        assert_eq!(world.http.count(JWKS), 0, "nothing about a shared secret is fetched");
    }

    let world = World::with(&[("SUPABASE_JWKS", &inline)], |settings| settings);
    let token = jwt(&own, json!({"alg": "HS256", "kid": "other"}), &claims(json!({})));
    assert_refused(&world.post(&token).await, 401, "unknown_key");

    let world = World::new();
    let token = jwt(&own, json!({"alg": "HS256", "kid": "current"}), &claims(json!({})));
    assert_refused(&world.post(&token).await, 401, "unsupported_algorithm");
}

#[tokio::test]
async fn a_shared_secret_at_a_public_address_opens_nothing() {
    let world = World::new();
    let own = Key::Shared(SECRET.into());
    let jwk = own.jwk("shared");
    world.http.on(JWKS, move |_| answer(200, json!({"keys": [jwk]})));
    let token = jwt(&own, json!({"alg": "HS256", "kid": "shared"}), &claims(json!({})));
    assert_refused(&world.post(&token).await, 401, "unsupported_algorithm");
}

#[tokio::test]
async fn forged_and_malformed_tokens_are_refused_each_with_its_reason() {
    let project = Key::project();
    let stranger = Key::p256();
    let rsa = Key::rsa();
    let good = session();
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!() };
    let part = |json: Value| BASE64URL.encode(json.to_string());
    let modulus = BASE64URL.decode(rsa.jwk("rsa")["n"].as_str().unwrap()).unwrap();
    let all = claims(json!({}));
    let twice = r#"{"sub":"a","sub":"b"}"#;

    let cases = [
        ("alg none", format!("{}.{payload}.", part(json!({"alg": "none"}))), "unsupported_algorithm"),
        (
            "alg None",
            format!("{}.{payload}.{signature}", part(json!({"alg": "NoNe", "kid": "current"}))),
            "unsupported_algorithm",
        ),
        (
            "alg of another family",
            jwt(&project, json!({"alg": "ES512", "kid": "current"}), &all),
            "unsupported_algorithm",
        ),
        (
            "HS256 with the public modulus",
            jwt(&Key::Shared(modulus), json!({"alg": "HS256", "kid": "rsa"}), &all),
            "unsupported_algorithm",
        ),
        (
            "RS256 naming the EC key",
            jwt(&rsa, json!({"alg": "RS256", "kid": "current"}), &all),
            "unsupported_algorithm",
        ),
        (
            "RS512 naming a key for RS256",
            jwt(&rsa, json!({"alg": "RS512", "kid": "rsa"}), &all),
            "unsupported_algorithm",
        ),
        ("wrong key, right kid", jwt(&stranger, es256("current"), &all), "invalid_signature"),
        ("unknown kid", jwt(&stranger, es256("theirs"), &all), "unknown_key"),
        ("kid is a path", jwt(&stranger, es256("../../etc/passwd"), &all), "unknown_key"),
        ("kid shared by two keys", jwt(&project, es256("twin"), &all), "unknown_key"),
        ("no kid, several keys fit", jwt(&project, json!({"alg": "ES256"}), &all), "missing_kid"),
        (
            "key in the header",
            jwt(&stranger, json!({"alg": "ES256", "kid": "mine", "jwk": stranger.jwk("mine")}), &all),
            "unknown_key",
        ),
        (
            "key by jku",
            jwt(&stranger, json!({"alg": "ES256", "kid": "current", "jku": "https://evil.example/jwks"}), &all),
            "invalid_signature",
        ),
        ("signature stripped", format!("{header}.{payload}."), "invalid_signature"),
        ("signature cut", format!("{header}.{payload}.{}", &signature[..40]), "invalid_signature"),
        (
            "claims exchanged",
            format!("{header}.{}.{signature}", part(claims(json!({"sub": "other"})))),
            "invalid_signature",
        ),
        ("signature part missing", format!("{header}.{payload}"), "malformed_token"),
        ("fourth part", format!("{good}.x"), "malformed_token"),
        ("padding", format!("{good}="), "malformed_token"),
        ("not base64url", format!("{header}.{payload}.+/+/"), "malformed_token"),
        ("header no JSON", format!("{}.{payload}.{signature}", BASE64URL.encode("x")), "malformed_token"),
        ("kid no text", jwt(&project, json!({"alg": "ES256", "kid": 1}), &all), "malformed_token"),
        ("no alg", jwt(&project, json!({"kid": "current"}), &all), "malformed_token"),
        (
            "alg given twice",
            raw_jwt(&project, "ES256", r#"{"alg":"none","alg":"ES256","kid":"current"}"#, &all.to_string()),
            "malformed_token",
        ),
        (
            "unknown extension",
            jwt(&project, json!({"alg": "ES256", "kid": "current", "crit": ["b64"], "b64": false}), &all),
            "malformed_token",
        ),
        (
            "longer than 16 KiB",
            jwt(&project, es256("current"), &claims(json!({"pad": "x".repeat(16 * 1024)}))),
            "malformed_token",
        ),
        ("claims no JSON", raw_jwt(&project, "ES256", &es256("current").to_string(), "hello"), "invalid_claims"),
        ("claims a list", raw_jwt(&project, "ES256", &es256("current").to_string(), "[]"), "invalid_claims"),
        ("a claim twice", raw_jwt(&project, "ES256", &es256("current").to_string(), twice), "invalid_claims"),
        ("publishable key", "sb_publishable_abc".into(), "api_key_as_bearer"),
        ("secret key", "sb_secret_abc".into(), "api_key_as_bearer"),
        ("Behest key", API_KEY.into(), "api_key_as_bearer"),
        ("OpenAI key", "sk-proj-abc".into(), "api_key_as_bearer"),
        ("undefined", "undefined".into(), "malformed_token"),
    ];
    let mut narrow = rsa.jwk("rsa");
    narrow["alg"] = json!("RS256");
    let set = json!({"keys": [project.jwk("current"), narrow, project.jwk("twin"), stranger.jwk("twin"),
        null, {"kty": "EC"}, {"kty": "quantum"}, 7]});
    for (name, token, code) in cases {
        let world = World::new();
        let set = set.clone();
        world.http.on(JWKS, move |_| answer(200, set.clone()));
        let response = world.post(&token).await;
        assert_eq!(refusal(&response), (401, code.to_owned()), "{name}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer ") && challenge.contains(code), "{name}: {challenge}");
        assert_eq!(world.http.count(MINT) + world.http.count(PROFILES), 0, "{name}");
        assert!(world.http.calls(JWKS).iter().all(|call| call.uri().host() == Some("ref.supabase.co")), "{name}");
    }
}

#[tokio::test]
async fn claims_are_checked_each_with_its_reason() {
    let cases = [
        ("exp", json!({"exp": NOW - 31}), "token_expired"),
        ("exp at the leeway's end", json!({"exp": NOW - 30}), "token_expired"),
        ("no exp", json!({"exp": null}), "invalid_claims"),
        ("exp a text", json!({"exp": (NOW + 60).to_string()}), "invalid_claims"),
        ("exp negative", json!({"exp": -1}), "invalid_claims"),
        ("nbf", json!({"nbf": NOW + 31}), "token_not_yet_valid"),
        ("nbf a text", json!({"nbf": "0"}), "invalid_claims"),
        ("iat a text", json!({"iat": "0"}), "invalid_claims"),
        ("iss of another project", json!({"iss": "https://other.supabase.co/auth/v1"}), "wrong_issuer"),
        ("iss with a slash", json!({"iss": format!("{PROJECT}/auth/v1/")}), "wrong_issuer"),
        ("no iss", json!({"iss": null}), "invalid_claims"),
        ("aud", json!({"aud": "anon"}), "wrong_audience"),
        ("aud a list", json!({"aud": ["a", "b"]}), "wrong_audience"),
        ("aud an empty list", json!({"aud": []}), "wrong_audience"),
        ("aud a mixed list", json!({"aud": ["authenticated", 1]}), "invalid_claims"),
        ("no aud", json!({"aud": null}), "invalid_claims"),
        ("no sub", json!({"sub": null}), "invalid_claims"),
        ("sub a number", json!({"sub": 7}), "invalid_claims"),
        ("sub empty", json!({"sub": ""}), "invalid_claims"),
        ("sub of 256", json!({"sub": "x".repeat(256)}), "invalid_claims"),
        ("sub with a line break", json!({"sub": "a\nb"}), "invalid_claims"),
        ("sub admin", json!({"sub": "admin"}), "invalid_claims"),
        ("sub dashboard-service", json!({"sub": "Dashboard-Service"}), "invalid_claims"),
        ("sub sys…", json!({"sub": "system"}), "invalid_claims"),
        ("service_role", json!({"role": "service_role"}), "role_refused"),
        ("anon", json!({"role": "anon"}), "role_refused"),
        ("no role", json!({"role": null}), "invalid_claims"),
        ("anonymous", json!({"is_anonymous": true}), "anonymous_refused"),
        ("is_anonymous a text", json!({"is_anonymous": "false"}), "invalid_claims"),
    ];
    let world = World::new();
    for (name, change, code) in cases {
        assert_eq!(refusal(&world.post(&session_with(change)).await), (401, code.to_owned()), "{name}");
    }
    assert_eq!(world.http.count(MINT), 0);
    // A claim that is null is present, and of the wrong type.
    let mut nulled = claims(json!({}));
    nulled["nbf"] = Value::Null;
    assert_refused(&world.post(&jwt(&Key::project(), es256("current"), &nulled)).await, 401, "invalid_claims");
}

#[tokio::test]
async fn what_is_unusual_but_right_is_accepted() {
    let world = World::new();
    let cases = [
        json!({"exp": NOW - 29}),
        json!({"exp": NOW as f64 + 0.5}),
        json!({"nbf": NOW + 30}),
        json!({"iat": NOW + 3600}),
        json!({"aud": ["other", "authenticated"]}),
        json!({"is_anonymous": null}),
        json!({"sub": "x".repeat(255)}),
    ];
    for change in cases {
        let response = world.post(&session_with(change.clone())).await;
        assert_eq!(response.status(), 200, "{change}: {:?}", response.body());
    }
    let single = jwt(&Key::project(), json!({"alg": "ES256"}), &claims(json!({})));
    assert_eq!(world.post(&single).await.status(), 200, "no kid, but only one key fits");
}

#[tokio::test]
async fn options_widen_what_is_accepted() {
    let world =
        World::with(&[("ALLOW_ANONYMOUS", "true"), ("SUPABASE_PUBLIC_URL", "https://id.example.com")], |settings| {
            settings.session_roles(["authenticated", "member"]).session_audiences(["authenticated", "app"])
        });
    for change in [
        json!({"is_anonymous": true}),
        json!({"iss": "https://id.example.com/auth/v1"}),
        json!({"role": "member"}),
        json!({"aud": "app"}),
    ] {
        assert_eq!(world.post(&session_with(change.clone())).await.status(), 200, "{change}");
    }
    assert_refused(&world.post(&session_with(json!({"role": "service_role"}))).await, 401, "role_refused");
}

#[tokio::test]
async fn the_local_stack_names_itself_as_its_pages_do() {
    let issued = |issuer: &str| session_with(json!({"iss": issuer}));
    let (loopback, localhost) = ("http://127.0.0.1:54321/auth/v1", "http://localhost:54321/auth/v1");
    let local = World::with(&[("SUPABASE_URL", "http://kong:8000")], |settings| settings);
    for issuer in [loopback, localhost, "http://kong:8000/auth/v1"] {
        assert_eq!(local.post(&issued(issuer)).await.status(), 200, "{issuer}");
    }
    let hosted = World::new();
    for (world, issuer) in [(&local, "http://127.0.0.1:54322/auth/v1"), (&hosted, loopback), (&hosted, localhost)] {
        assert_refused(&world.post(&issued(issuer)).await, 401, "wrong_issuer");
    }
    let elsewhere = [("SUPABASE_URL", "http://kong:8000"), ("BEHEST_SUPABASE_PUBLIC_URL", "http://127.0.0.1:9999")];
    let elsewhere = World::with(&elsewhere, |settings| settings);
    assert_eq!(elsewhere.post(&issued("http://127.0.0.1:9999/auth/v1")).await.status(), 200);
}

#[tokio::test]
async fn an_expired_token_says_since_when_and_a_future_one_says_until_when() {
    let world = World::new();
    let expired = world.post(&session_with(json!({"exp": NOW - 90}))).await;
    assert_eq!(body(&expired)["error"]["message"], "the access token expired 90 s ago");
    let future = world.post(&session_with(json!({"nbf": NOW + 100}))).await;
    assert_eq!(future.headers()["retry-after"], "70");
    assert_eq!(body(&future)["error"]["retry_after"], 70);
}
