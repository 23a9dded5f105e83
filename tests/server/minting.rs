//! Minting over HTTP and by signing: what is sent, what comes back, and what a refusal becomes.

use behest_client::server::HttpError;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn the_documented_request_is_sent() {
    let world = World::new();
    world.post(&session()).await;
    let calls = world.http.calls(MINT);
    let call = &calls[0];
    assert_eq!(
        (call.method().as_str(), call.uri().to_string()),
        ("POST", format!("https://amber-fox-042.behest.app{MINT}"))
    );
    assert_eq!(call.headers()["authorization"], format!("Bearer {API_KEY}"));
    assert!(call.headers()["authorization"].is_sensitive());
    assert_eq!(call.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn any_spelling_of_the_base_url_and_either_path_works() {
    let cases = [
        ("https://b.example", "", "https://b.example/v1/auth/mint"),
        ("https://b.example/", "", "https://b.example/v1/auth/mint"),
        ("https://b.example/v1", "", "https://b.example/v1/auth/mint"),
        ("https://b.example/v1/", "", "https://b.example/v1/auth/mint"),
        ("https://b.example/proxy/v1", "", "https://b.example/proxy/v1/auth/mint"),
        ("https://b.example", "/auth/v1/auth/mint", "https://b.example/auth/v1/auth/mint"),
    ];
    for (base, path, expected) in cases {
        let world = World::with(&[("BEHEST_BASE_URL", base), ("BEHEST_MINT_PATH", path)], |settings| settings);
        let path = http::Uri::try_from(expected).unwrap().path().to_owned();
        world.http.on(&path, |_| answer(200, json!({"access_token": "t", "expires_in": 60})));
        assert_eq!(world.post(&session()).await.status(), 200, "{base}");
        assert_eq!(world.http.calls(&path)[0].uri(), expected);
    }
}

#[tokio::test]
async fn both_reply_families_are_read_and_the_life_is_the_servers() {
    let long = jwt(&Key::project(), json!({"alg": "ES256"}), &json!({"iat": NOW, "exp": NOW + 120}));
    let cases = [
        (json!({"jwt": "t", "ttl": 600, "session_id": "theirs"}), 600, "theirs"),
        (json!({"access_token": "t", "token_type": "Bearer", "expires_in": 60, "project_id": "p"}), 60, "ours"),
        (json!({"jwt": "t", "access_token": "u", "ttl": 90, "expires_in": 60}), 90, "ours"),
        (json!({"jwt": long, "ttl": 900}), 120, "ours"),
        (json!({"jwt": long}), 120, "ours"),
    ];
    for (reply, ttl, session_id) in cases {
        let world = World::new();
        let name = reply.to_string();
        world.http.on(MINT, move |_| answer(200, reply.clone()));
        let response = world.endpoint.handle(post_body(&session(), r#"{"session_id":"ours"}"#)).await;
        let bundle = body(&response);
        assert_eq!((bundle["ttl"].as_u64(), bundle["expiresAt"].as_u64()), (Some(ttl), Some(NOW + ttl)), "{name}");
        assert_eq!(bundle["sessionId"], session_id, "{name}");
    }
}

#[tokio::test]
async fn behests_refusals_become_reasons_and_its_words_stay_here() {
    let words = "internal: tenant t_9 row 17 at 10.0.0.3";
    let error = |code: &str| json!({"error": {"code": code, "message": words}});
    let flat = json!({"error": words, "code": "x"});
    let cases = [
        (400, error("validation_error"), 500, "mint_refused"),
        (401, error("invalid_api_key"), 500, "mint_refused"),
        (401, flat.clone(), 500, "mint_refused"),
        (402, error("quota_exceeded"), 402, "quota_exceeded"),
        (403, error("forbidden"), 403, "forbidden"),
        (404, flat.clone(), 500, "mint_refused"),
        (408, flat.clone(), 503, "mint_unavailable"),
        (409, flat.clone(), 503, "mint_unavailable"),
        (422, error("validation_error"), 500, "mint_refused"),
        (429, error("rate_limited"), 429, "rate_limited"),
        (429, error("budget_exceeded"), 402, "quota_exceeded"),
        (301, json!({}), 500, "mint_refused"),
        (500, error("server_error"), 503, "mint_unavailable"),
        (502, flat, 503, "mint_unavailable"),
        (503, json!({}), 503, "mint_unavailable"),
    ];
    let world = World::new();
    for (theirs, reply, ours, code) in cases {
        let name = format!("{theirs} {reply}");
        world.http.on(MINT, move |_| answer(theirs, reply.clone()));
        let response = world.post(&session()).await;
        assert_eq!(refusal(&response), (ours, code.to_owned()), "{name}");
        let text = String::from_utf8_lossy(response.body());
        assert!(!text.contains("10.0.0.3") && !text.contains("validation_error"), "{name}: {text}");
    }
}

#[tokio::test]
async fn the_wait_is_handed_on_in_header_and_body() {
    let in_a_minute = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW + 60));
    let cases = [
        (Some("7"), json!({}), Some(7)),
        (Some("1.2"), json!({}), Some(2)),
        (Some(in_a_minute.as_str()), json!({}), Some(60)),
        (Some("Thu, 01 Jan 1970 00:00:00 GMT"), json!({}), Some(0)),
        (None, json!({"error": {"code": "rate_limited", "retry_after": 5}}), Some(5)),
        (Some("soon"), json!({}), None),
        (Some("-1"), json!({}), None),
        (None, json!({}), None),
    ];
    let world = World::new();
    for (header, reply, expected) in cases {
        let (text, wait) = (reply.to_string(), header.map(str::to_owned));
        world.http.on(MINT, move |_| {
            let builder = Response::builder().status(429);
            let builder = wait.iter().fold(builder, |builder, wait| builder.header("retry-after", wait));
            Ok(builder.body(Bytes::from(text.clone())).unwrap())
        });
        let response = world.post(&session()).await;
        assert_refused(&response, 429, "rate_limited");
        let seen = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse::<i64>().unwrap());
        assert_eq!(seen, expected, "{header:?} {reply}");
        assert_eq!(body(&response)["error"]["retry_after"].as_i64(), expected);
    }
}

#[tokio::test]
async fn an_unusable_reply_is_not_passed_on() {
    let replies = [
        "",
        "null",
        "<html>",
        "{}",
        r#"{"jwt":"t"}"#,
        r#"{"jwt":"","ttl":60}"#,
        r#"{"ttl":60}"#,
        r#"{"jwt":"t","ttl":0}"#,
        r#"{"jwt":"t","ttl":0.5}"#,
        r#"{"jwt":"t","ttl":-5}"#,
        r#"{"jwt":"t","ttl":3300000000}"#,
        r#"{"jwt":"a b","ttl":60}"#,
    ];
    let world = World::new();
    for reply in replies {
        world.http.on(MINT, move |_| Ok(Response::new(Bytes::from_static(reply.as_bytes()))));
        assert_eq!(refusal(&world.post(&session()).await), (500, "mint_refused".to_owned()), "{reply}");
    }
    for error in [HttpError::Timeout, HttpError::TooLarge, HttpError::Failed("refused".into())] {
        world.http.on(MINT, move |_| Err(error.clone()));
        assert_refused(&world.post(&session()).await, 503, "mint_unavailable");
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[tokio::test]
async fn a_token_signed_here_has_the_documented_claims_in_their_order() {
    let key = Key::rsa();
    let pem = pem("PRIVATE KEY", &key.pkcs8());
    let usual = [
        ("BEHEST_KEY", pem.as_str()),
        ("BEHEST_KID", "sk_kid_1"),
        ("BEHEST_TENANT_ID", "t1"),
        ("BEHEST_PROJECT_ID", "p1"),
    ];
    let named = [("BEHEST_ISSUER", "https://issuer.example"), ("BEHEST_AUDIENCE", "aud"), ("BEHEST_TTL", "60")];
    for (extra, issuer, audience, ttl) in [
        (usual.to_vec(), "https://api.behest.ai", "behest", 900),
        ([&usual[..], &named[..]].concat(), "https://issuer.example", "aud", 60),
    ] {
        let world = World::with(&extra, |settings| settings);
        world.http.on(PROFILES, |_| answer(200, json!({"plan": "max"})));
        let response = world.endpoint.handle(post_body(&session(), r#"{"session_id":"s1"}"#)).await;
        let bundle = body(&response);
        let (header, claims) = key.open(bundle["token"].as_str().unwrap());
        assert_eq!(header, r#"{"alg":"RS256","typ":"JWT","kid":"sk_kid_1"}"#);
        let read: Value = serde_json::from_str(&claims).unwrap();
        let jti = read["jti"].as_str().unwrap();
        assert_eq!(uuid::Uuid::parse_str(jti).unwrap().get_version_num(), 4);
        let exp = NOW + ttl;
        let expected = format!(
            r#"{{"tid":"t1","pid":"p1","uid":"{USER}","role":"user","scp":[],"iss":"{issuer}","aud":"{audience}","iat":{NOW},"nbf":{NOW},"exp":{exp},"jti":"{jti}","sid":"s1","tier":3}}"#
        );
        assert_eq!(claims, expected);
        assert_eq!(
            (bundle["ttl"].as_u64(), bundle["expiresAt"].as_u64(), bundle["sessionId"].as_str()),
            (Some(ttl), Some(exp), Some("s1"))
        );
        assert_eq!(world.http.count(MINT), 0);
    }
}

#[tokio::test]
async fn no_tier_means_no_claim() {
    let key = Key::rsa();
    let pem = pem("PRIVATE KEY", &key.pkcs8());
    let extra =
        [("BEHEST_KEY", pem.as_str()), ("BEHEST_KID", "k"), ("BEHEST_TENANT_ID", "t"), ("BEHEST_PROJECT_ID", "p")];
    let world = World::with(&extra, |settings| {
        settings.policy(|_: behest_client::server::User| async { Ok(behest_client::server::Grant::default()) })
    });
    let (_, claims) = key.open(body(&world.post(&session()).await)["token"].as_str().unwrap());
    assert!(!claims.contains("tier") && claims.ends_with(r#""}"#), "{claims}");
}
