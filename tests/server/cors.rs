//! What a browser sees, on every path through the endpoint.

use behest_client::Error;
use behest_client::server::{Grant, HttpError, Settings, User};
use behest_client::wire::{EXPOSED_HEADERS, FUNCTION_REQUEST_HEADERS};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde_json::json;

use crate::support::*;

fn with_origin(mut request: Request<Bytes>, origin: Option<&str>) -> Request<Bytes> {
    request.headers_mut().remove("origin");
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    request
}

fn options() -> Request<Bytes> {
    Request::options("/functions/v1/behest-token")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .body(Bytes::new())
        .unwrap()
}

fn cors_headers(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("access-control-")).collect()
}

fn permitted(response: &Response<Bytes>, name: &str) {
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-origin"], PAGE, "{name}");
    assert_eq!(headers["access-control-expose-headers"], EXPOSED_HEADERS, "{name}");
    assert_eq!(headers["vary"], "origin", "{name}");
    assert!(!headers.contains_key("access-control-allow-credentials"), "{name}");
    uuid::Uuid::parse_str(headers["x-request-id"].to_str().unwrap()).unwrap();
}

#[tokio::test]
async fn a_preflight_is_answered_before_anything_else() {
    let world = World::new();
    let response = world.endpoint.handle(with_origin(options(), Some(PAGE))).await;
    assert_eq!(response.status(), 204);
    assert!(response.body().is_empty());
    permitted(&response, "preflight");
    assert_eq!(response.headers()["access-control-allow-methods"], "POST");
    let allowed = response.headers()["access-control-allow-headers"].to_str().unwrap();
    for header in FUNCTION_REQUEST_HEADERS.split(", ").chain(["traceparent", "tracestate", "baggage"]) {
        assert!(allowed.split(", ").any(|other| other == header), "supabase.functions.invoke sends {header}");
    }
    assert_eq!(response.headers()["access-control-max-age"], "7200");
    assert_eq!(world.http.all(), 0);
}

#[tokio::test]
async fn the_origin_on_the_list_is_the_one_that_is_answered() {
    let own = ["tauri://localhost", "capacitor://localhost", "chrome-extension://abcdefghijklmnop"];
    let pages = ["http://localhost:5173", "https://app.example.com", "https://xn--bcher-kva.example:8443"];
    let list = [own.join(","), pages.join(", ")].join(",");
    let world = World::with(&[("CORS_ORIGIN", &list)], |settings| settings);
    for origin in own.into_iter().chain(pages) {
        for request in [options(), post(&session())] {
            let response = world.endpoint.handle(with_origin(request, Some(origin))).await;
            assert!(response.status().is_success());
            assert_eq!(response.headers()["access-control-allow-origin"], origin);
        }
    }
}

#[tokio::test]
async fn another_origin_gets_no_cors_header_and_no_token() {
    let world = World::new();
    let others = [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://APP.example.com",
        "https://app.example.com/",
        "null",
        "",
    ];
    for origin in others {
        let preflight = world.endpoint.handle(with_origin(options(), Some(origin))).await;
        assert_eq!((preflight.status().as_u16(), cors_headers(preflight.headers())), (204, vec![]), "{origin}");
        let response = world.endpoint.handle(with_origin(post(&session()), Some(origin))).await;
        assert_refused(&response, 403, "origin_refused");
        assert_eq!(cors_headers(response.headers()), Vec::<&str>::new(), "{origin}");
        assert_eq!(response.headers()["vary"], "origin");
    }
    let mut twice = post(&session());
    twice.headers_mut().append("origin", "https://evil.example".parse().unwrap());
    assert_refused(&world.endpoint.handle(twice).await, 403, "origin_refused");
    assert_eq!(world.http.all(), 0);
}

#[tokio::test]
async fn a_caller_that_is_no_page_needs_no_permission() {
    let world = World::new();
    let response = world.endpoint.handle(with_origin(post(&session()), None)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(cors_headers(response.headers()), Vec::<&str>::new());
    assert_eq!(response.headers()["vary"], "origin");
}

async fn panicking(_: User) -> Result<Grant, Error> {
    panic!("a defect in the app's own policy")
}

#[tokio::test]
async fn every_refusal_carries_the_headers_too() {
    let down = || Err(HttpError::Timeout);
    let path = |path: &'static str| move |world: &World| world.http.on(path, move |_| down());
    let nothing = |_: &World| {};
    type Change = Box<dyn Fn(Settings) -> Settings>;
    type Break = Box<dyn Fn(&World)>;
    let same = || Box::new(|settings| settings) as Change;
    let post_with = |text: &str| post_body(&session(), text);
    let get = Request::get("/").body(Bytes::new()).unwrap();
    let cases: Vec<(u16, &str, Request<Bytes>, Change, Break)> = vec![
        (401, "malformed_token", post("x"), same(), Box::new(nothing)),
        (401, "token_expired", post(&session_with(json!({"exp": 1}))), same(), Box::new(nothing)),
        (405, "method_not_allowed", get, same(), Box::new(nothing)),
        (400, "invalid_request", post_with("{"), same(), Box::new(nothing)),
        (413, "payload_too_large", post_with(&"x".repeat(20_000)), same(), Box::new(nothing)),
        (503, "jwks_unavailable", post(&session()), same(), Box::new(path(JWKS))),
        (503, "plan_unavailable", post(&session()), same(), Box::new(path(PROFILES))),
        (503, "mint_unavailable", post(&session()), same(), Box::new(path(MINT))),
        (500, "internal", post(&session()), Box::new(|settings| settings.policy(panicking)), Box::new(nothing)),
    ];
    for (status, code, request, change, break_it) in cases {
        let world = World::with(&[], change);
        break_it(&world);
        let response = world.endpoint.handle(with_origin(request, Some(PAGE))).await;
        assert_refused(&response, status, code);
        permitted(&response, code);
    }
}
