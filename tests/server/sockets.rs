//! The whole endpoint on real sockets: axum in front, reqwest behind, real keys, no fake in between.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::routing::{get, post};
use behest_client::server::axum::{route, router};
use behest_client::server::{HttpClient as _, HttpError, Limits, NativeClient, Settings, TokenEndpoint};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::support::*;

/// Serves until the test's runtime ends.
async fn serve(app: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn system(signing: &Key) -> (String, SocketAddr) {
    let jwk = signing.jwk("k1");
    let supabase = axum::Router::new()
        .route(JWKS, get(move || async move { Json(json!({"keys": [jwk]})) }))
        .route(PROFILES, get(async || Json(json!({"plan": "pro"}))));
    let behest = axum::Router::new().route(
        MINT,
        post(async |headers: axum::http::HeaderMap, Json(order): Json<Value>| {
            if headers["authorization"] != format!("Bearer {API_KEY}") {
                return (StatusCode::UNAUTHORIZED, Json(json!({"error": {"code": "x"}})));
            }
            let token = format!("{}-tier-{}", order["user_id"].as_str().unwrap(), order["tier"]);
            (StatusCode::OK, Json(json!({"jwt": token, "ttl": order["ttl"], "session_id": order["session_id"]})))
        }),
    );
    let supabase = format!("http://{}", serve(supabase).await);
    let behest = format!("http://{}", serve(behest).await);
    let settings = Settings::from_lookup(lookup(&[("SUPABASE_URL", &supabase), ("BEHEST_BASE_URL", &behest)]));
    let endpoint = TokenEndpoint::new(settings).unwrap();
    let address = serve(axum::Router::new().nest("/functions/v1/behest-token", router(endpoint))).await;
    (supabase, address)
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn token(key: &Key, supabase: &str, exp: u64) -> String {
    let claims = claims(json!({"iss": format!("{supabase}/auth/v1"), "iat": now(), "exp": exp}));
    jwt(key, json!({"alg": "ES256", "kid": "k1"}), &claims)
}

#[tokio::test]
async fn a_signed_in_user_gets_a_token_and_nobody_else_does() {
    let key = Key::p256();
    let (supabase, address) = system(&key).await;
    let url = format!("http://{address}/functions/v1/behest-token");
    let browser = reqwest::Client::new();

    let preflight = browser.request(reqwest::Method::OPTIONS, &url).header("origin", PAGE).send().await.unwrap();
    assert_eq!(
        (preflight.status().as_u16(), preflight.headers()["access-control-allow-origin"].to_str().unwrap()),
        (204, PAGE)
    );

    let good = token(&key, &supabase, now() + 600);
    let ask = |bearer: String| browser.post(&url).header("origin", PAGE).bearer_auth(bearer);
    let response = ask(good.clone()).body(r#"{"session_id":"conv-1"}"#).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["access-control-allow-origin"].to_str().unwrap()),
        (200, PAGE)
    );
    let bundle: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(bundle["token"], format!("{USER}-tier-2"));
    assert_eq!((bundle["sessionId"].as_str(), bundle["ttl"].as_u64()), (Some("conv-1"), Some(900)));
    assert!(bundle["expiresAt"].as_u64().unwrap().abs_diff(now() + 900) <= 2);

    let unsigned = format!("{}.{}.", "eyJhbGciOiJub25lIn0", good.split('.').nth(1).unwrap());
    let cases = [
        (token(&Key::p256(), &supabase, now() + 600), "invalid_signature"),
        (token(&key, &supabase, now() - 600), "token_expired"),
        (token(&key, "https://evil.example", now() + 600), "wrong_issuer"),
        (unsigned, "unsupported_algorithm"),
        ("sb_publishable_x".to_owned(), "api_key_as_bearer"),
    ];
    for (bearer, code) in cases {
        let response = ask(bearer).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["access-control-allow-origin"].to_str().unwrap()),
            (401, PAGE)
        );
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], code);
    }
}

#[tokio::test]
async fn a_body_too_large_is_refused_with_cors_headers() {
    let (_, address) = system(&Key::p256()).await;
    let url = format!("http://{address}/functions/v1/behest-token");
    let browser = reqwest::Client::new();
    let chunks = || futures_util::stream::iter((0..4).map(|_| Ok::<_, std::io::Error>(vec![b' '; 8 * 1024])));
    for body in [reqwest::Body::from(vec![b' '; 20_000]), reqwest::Body::wrap_stream(chunks())] {
        let response = browser.post(&url).header("origin", PAGE).body(body).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["access-control-allow-origin"].to_str().unwrap()),
            (413, PAGE)
        );
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "payload_too_large");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_arrives_is_given_up() {
    let world = World::new();
    let started = tokio::time::Instant::now();
    let endless = axum::body::Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = axum::http::Request::post("/").header("origin", PAGE).body(endless).unwrap();
    let response = router(world.endpoint.clone()).oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), started.elapsed().as_secs()), (408, 10));
    assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    let broken =
        axum::body::Body::from_stream(futures_util::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("cut"))]));
    let request = axum::http::Request::post("/").header("origin", PAGE).body(broken).unwrap();
    assert_eq!(router(world.endpoint.clone()).oneshot(request).await.unwrap().status(), 400);
}

#[tokio::test]
async fn it_can_be_mounted_at_a_path_or_below_one() {
    let world = World::new();
    let nested = axum::Router::new().nest("/functions/v1/behest-token", router(world.endpoint.clone()));
    let routed = axum::Router::new().route("/api/behest/token", route(world.endpoint.clone()));
    let root = router(world.endpoint.clone());
    let service = axum::Router::new().nest_service("/token", world.endpoint.clone());
    let with_state = axum::Router::<u8>::new()
        .nest("/below", router(world.endpoint.clone()))
        .route("/one", route(world.endpoint.clone()))
        .with_state(7);
    let cases = [
        (&nested, "/functions/v1/behest-token", 204),
        (&nested, "/functions/v1/behest-token/deeper?x=1", 204),
        (&nested, "/functions/v1/other", 404),
        (&routed, "/api/behest/token", 204),
        (&routed, "/api/behest/token/deeper", 404),
        (&service, "/token", 204),
        (&service, "/token/", 204),
        (&with_state, "/below/it", 204),
        (&with_state, "/one", 204),
        (&root, "/", 204),
        (&root, "/anything", 204),
    ];
    for (app, path, status) in cases {
        let request = axum::http::Request::options(path).body(axum::body::Body::empty()).unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status, "{path}");
    }
}

/// Reads one request's head, then does what `then` says.
async fn rude<F: Future<Output = ()> + Send + 'static>(then: impl FnOnce(TcpStream) -> F + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = socket.read(&mut head).await.unwrap();
        then(socket).await;
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn the_http_client_has_limits() {
    let client = NativeClient::new().unwrap();
    let get = |url: &str| http::Request::get(url).body(bytes::Bytes::new()).unwrap();
    let limits = |milliseconds, body| Limits::new(Duration::from_millis(milliseconds), body);

    let silent = rude(async |_socket| std::future::pending().await).await;
    assert_eq!(client.send(get(&silent), limits(100, 100)).await.unwrap_err(), HttpError::Timeout);

    let stalling = rude(async |mut socket: TcpStream| {
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
        std::future::pending().await
    });
    assert_eq!(client.send(get(&stalling.await), limits(100, 100)).await.unwrap_err(), HttpError::Timeout);

    let large = rude(async |mut socket: TcpStream| {
        let _ = socket
            .write_all(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(101)).as_bytes())
            .await;
    });
    assert_eq!(client.send(get(&large.await), limits(5000, 100)).await.unwrap_err(), HttpError::TooLarge);

    let cut = rude(async |mut socket: TcpStream| {
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
    });
    let cut = client.send(get(&cut.await), limits(5000, 100)).await.unwrap_err();
    assert!(matches!(&cut, HttpError::Failed(why) if !why.contains("127.0.0.1")), "{cut:?}");

    let moved = rude(async |mut socket: TcpStream| {
        socket
            .write_all(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    });
    assert_eq!(client.send(get(&moved.await), limits(5000, 100)).await.unwrap().status(), 302);
}
