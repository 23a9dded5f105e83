//! Methods, headers and bodies: what a request may be, and that it decides nothing.

use behest_client::server::MAX_BODY;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::*;

#[tokio::test]
async fn the_authorization_header_is_read_strictly() {
    let token = session();
    let cases: Vec<(Vec<String>, Option<&str>)> = vec![
        (vec![], Some("missing_token")),
        (vec!["Bearer".into()], Some("missing_token")),
        (vec!["Bearer ".into()], Some("missing_token")),
        (vec![String::new()], Some("missing_token")),
        (vec![token.clone()], Some("invalid_authorization")),
        (vec![format!("Basic {token}")], Some("invalid_authorization")),
        (vec![format!("Bearer\t{token}")], Some("invalid_authorization")),
        (vec![format!("Bearer  {token}")], Some("invalid_authorization")),
        (vec![format!("Bearer {token} {token}")], Some("invalid_authorization")),
        (vec![format!("Bearer {token},{token}")], Some("invalid_authorization")),
        (vec![format!("Bearer {token}, Bearer {token}")], Some("invalid_authorization")),
        (vec![format!("Bearer {token}"), format!("Bearer {token}")], Some("invalid_authorization")),
        (vec!["Bearer sb_publishable_1".into(), format!("Bearer {token}")], Some("invalid_authorization")),
        (vec![format!("Bearer sb_publishable_1, Bearer {token}")], Some("invalid_authorization")),
        (vec![format!("bearer {token}")], None),
        (vec![format!("BEARER {token}")], None),
        (vec![format!("Bearer {token}  ")], None),
    ];
    let world = World::new();
    for (headers, code) in cases {
        let mut request = Request::post("/").body(Bytes::new()).unwrap();
        for value in &headers {
            request.headers_mut().append("authorization", value.parse().unwrap());
        }
        let response = world.endpoint.handle(request).await;
        match code {
            Some(code) => assert_eq!(refusal(&response), (401, code.to_owned()), "{headers:?}"),
            None => assert_eq!(response.status(), 200, "{headers:?}"),
        }
    }
    let nothing = Request::post("/").body(Bytes::new()).unwrap();
    let challenge = world.endpoint.handle(nothing).await.headers()["www-authenticate"].clone();
    assert_eq!(challenge, r#"Bearer realm="behest-token""#, "no error code where no credential was tried");
}

#[tokio::test]
async fn credentials_elsewhere_are_not_credentials() {
    let world = World::new();
    let token = session();
    let request = Request::post(format!("/?access_token={token}&token={token}"))
        .header("cookie", format!("sb-access-token={token}"))
        .header("apikey", "sb_secret_x")
        .body(Bytes::from(json!({"access_token": token}).to_string()))
        .unwrap();
    assert_refused(&world.endpoint.handle(request).await, 401, "missing_token");
}

#[tokio::test]
async fn only_post_and_options_are_served() {
    let world = World::new();
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"] {
        let request = Request::builder().method(method).header("origin", PAGE).body(Bytes::new()).unwrap();
        let response = world.endpoint.handle(request).await;
        assert_refused(&response, 405, "method_not_allowed");
        assert_eq!(response.headers()["allow"], "POST, OPTIONS");
        assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    }
    assert_eq!(world.http.all(), 0);
}

#[tokio::test]
async fn a_session_id_is_kept_if_it_can_be_one() {
    let world = World::new();
    let longest = "x".repeat(255);
    for id in ["user-1-conv-2", "a b", longest.as_str()] {
        let request = post_body(&session(), &json!({"session_id": id}).to_string());
        assert_eq!(body(&world.endpoint.handle(request).await)["sessionId"], id);
    }
    let too_long = "x".repeat(256);
    for id in ["", " a", "a\r\nx-tier: 3", "naïve", too_long.as_str()] {
        let request = post_body(&session(), &json!({"session_id": id}).to_string());
        assert_refused(&world.endpoint.handle(request).await, 400, "invalid_request");
    }
}

#[tokio::test]
async fn without_a_session_id_each_token_gets_a_random_one() {
    let world = World::new();
    let mut ids = Vec::new();
    for text in ["", "  \n", "{}", r#"{"session_id": null}"#] {
        let response = world.endpoint.handle(post_body(&session(), text)).await;
        assert_eq!(response.status(), 200, "{text:?}");
        let id = body(&response)["sessionId"].as_str().unwrap().to_owned();
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_body_that_is_not_the_documented_one_is_refused() {
    let world = World::new();
    for text in
        ["{", "null", "[]", r#"["s"]"#, "\"s\"", r#"{"session_id": 7}"#, r#"{"session_id": {}}"#, "a=b", "\u{feff}{}"]
    {
        assert_refused(&world.endpoint.handle(post_body(&session(), text)).await, 400, "invalid_request");
    }
    let large = post_body(&session(), &" ".repeat(MAX_BODY + 1));
    assert_refused(&world.endpoint.handle(large).await, 413, "payload_too_large");
    assert_eq!(world.http.count(MINT), 0);
}

#[tokio::test]
async fn user_role_and_tier_are_never_read_from_the_request() {
    let world = World::new();
    let text = json!({"user_id": "victim", "uid": "victim", "sub": "victim", "role": "admin", "tier": 3, "plan": "max",
        "ttl": 86400, "session_id": "s"});
    let mut request = post_body(&session_with(json!({"user_metadata": {"plan": "max", "tier": 3}})), &text.to_string());
    *request.uri_mut() = "/?user_id=victim&tier=3".parse().unwrap();
    for (name, value) in [("x-tier", "3"), ("x-role", "admin"), ("x-end-user-id", "victim"), ("x-user-id", "victim")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(world.endpoint.handle(request).await.status(), 200);
    let order: Value = serde_json::from_slice(world.http.calls(MINT)[0].body()).unwrap();
    assert_eq!(order, json!({"user_id": USER, "tier": 1, "ttl": 900, "session_id": "s"}));
}

#[tokio::test]
async fn it_is_a_tower_service() {
    let world = World::new();
    let response = world.endpoint.clone().oneshot(post(&session())).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[test]
fn it_can_be_shared_and_its_futures_can_move() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn movable<T: Send>(_: T) {}
    let world = World::new();
    shared(&world.endpoint);
    movable(world.endpoint.handle(post("x")));
}
