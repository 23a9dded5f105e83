//! The platform's part of Edge Functions: the gate before them, and functions of the user's own.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use behest_local::Config;
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Answer, World, config, in_time, jwt_with, send};

/// Code in header and body, as the platform sends both.
fn platform(answer: &Answer) -> (u16, String) {
    let code = answer.header("sb-error-code").unwrap_or_default().to_owned();
    assert_eq!(answer.json()["code"], code, "{}", answer.text);
    (answer.status.as_u16(), code)
}

#[tokio::test]
async fn the_gate_refuses_as_documented() {
    let world = World::with(Config { verify_jwt: true, ..config() }).await;
    let ada = world.sign_up("ada@example.com").await;
    assert_eq!(send(world.function().bearer_auth(&ada.access)).await.status, 200);
    let expired = jwt_with(&ada.access, 1, |claims| claims["exp"] = json!(1));
    let unsigned = jwt_with(&ada.access, 0, |header| header["alg"] = json!("none"));
    for (authorization, code) in [
        (None, "UNAUTHORIZED_NO_AUTH_HEADER"),
        (Some("Basic eDp5".to_owned()), "UNAUTHORIZED_INVALID_JWT_FORMAT"),
        (Some(format!("Bearer {}", world.running.publishable_key)), "UNAUTHORIZED_INVALID_JWT_FORMAT"),
        (Some(format!("Bearer {expired}")), "UNAUTHORIZED_ASYMMETRIC_JWT"),
        (Some(format!("Bearer {unsigned}")), "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM"),
    ] {
        let request = world.function();
        let request = match &authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        assert_eq!(platform(&send(request).await), (401, code.to_owned()), "{authorization:?}");
    }
    let url = format!("{}/functions/v1/behest-token", world.running.supabase_url);
    let preflight = world.http.request(Method::OPTIONS, url).header("origin", crate::support::PAGE);
    let preflight = send(preflight.header("access-control-request-method", "POST")).await;
    assert_eq!(preflight.status, 204, "the gate lets preflights through");
    assert_eq!(world.counted("mint"), 1);
}

/// A function that tells what it was asked, and streams when asked to.
async fn own_function() -> (String, mpsc::Sender<Result<Vec<u8>, std::io::Error>>) {
    let (say, said) = mpsc::channel(1);
    let said = std::sync::Arc::new(std::sync::Mutex::new(Some(said)));
    let answer = move |request: Request| {
        let said = said.lock().unwrap().take_if(|_| request.uri().path().ends_with("stream"));
        async move {
            if let Some(said) = said {
                return Response::new(Body::from_stream(ReceiverStream::new(said)));
            }
            let asked = format!("{} {}", request.method(), request.uri());
            let token = request.headers().contains_key("authorization");
            let length = request.headers().get("content-length").cloned();
            let body = axum::body::to_bytes(request.into_body(), 1000).await.unwrap();
            let told = format!("{asked} token={token} body={}", String::from_utf8_lossy(&body));
            let mut answer = (StatusCode::CREATED, [("x-own", "1")], told).into_response();
            answer.headers_mut().extend(length.map(|length| (http::HeaderName::from_static("x-length"), length)));
            answer
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    (url, say)
}

#[tokio::test]
async fn a_function_of_ones_own_is_called_through() {
    let (url, say) = own_function().await;
    let world = World::with(Config { functions: vec![format!("hello={url}")], ..config() }).await;
    let call = |path: &str| world.http.put(format!("{}/functions/v1/{path}", world.running.supabase_url));
    let answer = send(call("hello/a%20b?c=d").bearer_auth("x").body("hi")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-own")), (201, Some("1")));
    assert_eq!(answer.text, "PUT /base/a%20b?c=d token=true body=hi");
    assert_eq!(answer.header("x-length"), Some("2"));
    for path in ["100%25", "a%2Fb/%2541", "a//b/", "%C3%A9;x=y"] {
        let text = send(call(&format!("hello/{path}"))).await.text;
        assert_eq!(text, format!("PUT /base/{path} token=false body="), "the path is as it was sent");
    }
    assert_eq!(send(call("hello")).await.text, "PUT /base token=false body=");
    assert_eq!(platform(&send(call("other")).await), (404, "NOT_FOUND".to_owned()));

    let streamed = in_time(call("hello/stream").send()).await.unwrap();
    let mut body = streamed.bytes_stream();
    for piece in ["one", "two"] {
        in_time(say.send(Ok(piece.into()))).await.unwrap();
        assert_eq!(in_time(body.next()).await.unwrap().unwrap(), piece, "pieces come as they are said");
    }
    drop(say);
    assert!(in_time(body.next()).await.is_none());
    assert_eq!(world.counted("functions.hello"), 7);
}

#[tokio::test]
async fn a_function_whose_process_is_gone_is_an_error_of_the_platform() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let world = World::with(Config { functions: vec![format!("hello={url}")], ..config() }).await;
    let answer = send(world.http.post(format!("{}/functions/v1/hello", world.running.supabase_url))).await;
    assert_eq!(platform(&answer), (503, "BOOT_ERROR".to_owned()));
    for bad in ["hello", "hello=", "=http://localhost:1", "a b=http://localhost:1", "hello=ftp://localhost"] {
        let error = behest_local::start(Config { functions: vec![bad.into()], ..config() }).await.unwrap_err();
        assert!(error.to_string().contains("--function"), "{bad}: {error}");
    }
}
