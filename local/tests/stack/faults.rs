//! Faults that are asked for, and who may ask.

use std::time::{Duration, Instant};

use behest_client::client::{ChatRequest, Outcome};
use behest_client::{Client, Error, Reason, Secret};
use behest_local::{Config, ErrorShape};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{PAGE, World, config, in_time, send};

const HEADER: &str = "x-behest-local-fault";

fn hello(stream: bool) -> Value {
    json!({ "messages": [{ "role": "user", "content": "Hi" }], "stream": stream })
}

#[tokio::test]
async fn a_header_asks_for_a_fault_of_its_own_answer() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let refused = send(world.chat(&token, &hello(false)).header(HEADER, "status=429 retry-after=7")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("7")));
    let began = Instant::now();
    assert_eq!(send(world.chat(&token, &hello(false)).header(HEADER, "delay=200")).await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(200));
    let wrong = send(world.chat(&token, &hello(false)).header(HEADER, "explode=1")).await;
    assert!(wrong.status == 400 && wrong.text.contains("there is no fault"), "{}", wrong.text);
    assert_eq!(send(world.chat(&token, &hello(false))).await.status, 200, "the next one is well");
}

#[tokio::test]
async fn answers_break_off_fall_silent_and_come_in_pieces() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let whole = send(world.chat(&token, &hello(true))).await.text;
    let ask = async |fault: &str| in_time(world.chat(&token, &hello(true)).header(HEADER, fault).send()).await.unwrap();

    let mut cut = ask("cut=300").await.bytes_stream();
    let (mut seen, mut broke) = (Vec::new(), false);
    while let Some(next) = in_time(cut.next()).await {
        match next {
            Ok(bytes) => seen.extend(bytes),
            Err(_) => broke = true,
        }
    }
    assert_eq!((seen.len(), broke), (300, true), "so many bytes, and then no clean end");

    let mut stalled = ask("stall=300").await.bytes_stream();
    let mut seen = 0;
    while seen < 300 {
        seen += in_time(stalled.next()).await.unwrap().unwrap().len();
    }
    assert_eq!(seen, 300);
    let more = tokio::time::timeout(Duration::from_millis(300), stalled.next()).await;
    assert!(more.is_err(), "nothing more comes, and no end");
    drop(stalled);

    let mut pieces = ask("chunks=1").await.bytes_stream();
    let (mut count, mut bytes) = (0, Vec::new());
    while let Some(piece) = in_time(pieces.next()).await {
        bytes.extend(piece.unwrap());
        count += 1;
    }
    let text = String::from_utf8(bytes).unwrap();
    let said = |text: &str| text.matches("\"content\"").count();
    assert!(text.ends_with("data: [DONE]\n\n") && said(&text) == said(&whole));
    assert!(count > text.len() / 4, "{count} pieces for {} bytes", text.len());
}

#[tokio::test]
async fn a_flag_sets_faults_of_a_place_for_so_many_times() {
    let faults = vec!["mint status=503 times=1".parse().unwrap(), "auth status=500 times=1".parse().unwrap()];
    let world = World::with(Config { faults, ..config() }).await;
    assert_eq!(world.mint(&json!({ "user_id": "ada" })).await.status, 503);
    assert_eq!(world.mint(&json!({ "user_id": "ada" })).await.status, 200);
    let body = json!({ "email": "ada@example.com", "password": "correct horse" });
    assert_eq!(send(world.post_supabase("/auth/v1/signup", &body)).await.status, 500);
    assert_eq!(send(world.post_supabase("/auth/v1/signup", &body)).await.status, 200);
}

#[tokio::test]
async fn a_fault_looks_like_an_error_of_its_server_and_pages_may_read_it() {
    let faults = ["auth", "rest", "function", "usage"].map(|place| format!("{place} status=503 retry-after=4"));
    let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
    let world = World::with(Config { faults, error_shape: ErrorShape::Legacy, ..config() }).await;
    let supabase = &world.running.supabase_url;
    for (url, pointer, code) in [
        (format!("{supabase}/auth/v1/user"), "/error_code", "unexpected_failure"),
        (format!("{supabase}/rest/v1/profiles"), "/code", "PGRST000"),
        (format!("{supabase}/functions/v1/behest-token"), "/code", "FAULT"),
        (format!("{}/v1/usage", world.running.gateway_url), "/code", "server_error"),
    ] {
        let failed = send(world.http.post(&url).header("origin", PAGE)).await;
        assert_eq!((failed.status.as_u16(), failed.header("retry-after")), (503, Some("4")), "{url}");
        assert_eq!(failed.json().pointer(pointer).unwrap(), code, "{}", failed.text);
        assert!(failed.text.contains("status=503 retry-after=4"), "the reason is said: {}", failed.text);
        let allowed = failed.header("access-control-allow-origin");
        assert!(matches!(allowed, Some("*" | PAGE)), "{url}: {allowed:?}");
        let preflight = world.http.request(http::Method::OPTIONS, &url).header("origin", PAGE);
        let preflight = preflight.header("access-control-request-method", "POST");
        let preflight = send(preflight.header("access-control-request-headers", HEADER)).await;
        let headers = preflight.header("access-control-allow-headers").unwrap_or_default();
        assert!(headers.contains(HEADER), "{url}: {headers}");
    }
    let stranger = world.function().header("origin", "http://stranger.example");
    assert_eq!(send(stranger).await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_fault_that_was_used_can_be_removed() {
    let world = World::with(Config { faults: vec!["models status=503 times=5".parse().unwrap()], ..config() }).await;
    let shown = send(world.get_gateway("/dashboard/settings")).await.text;
    assert_eq!(send(world.get_gateway("/v1/models")).await.status, 503);
    // The page as it was before the fault was used.
    let remove = shown.split("name=\"remove\" value=\"").find(|rest| rest.starts_with("models")).unwrap();
    let remove = remove.split('"').next().unwrap();
    let key = shown.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let fields = [("key", key), ("remove", remove)];
    let form = reqwest::Url::parse_with_params("http://localhost", fields).unwrap();
    let form = world.post_gateway("/dashboard/faults", &Value::Null).body(form.query().unwrap().to_owned());
    assert_eq!(send(form.header("content-type", "application/x-www-form-urlencoded")).await.status, 303);
    assert_eq!(send(world.get_gateway("/v1/models")).await.status, 401, "only the token is missing");
}

#[tokio::test]
async fn the_client_names_each_fault_rightly() {
    let faults = ["chat cut=600 times=1", "chat status=503 times=1"].map(|text| text.parse().unwrap()).to_vec();
    let world = World::with(Config { faults, ..config() }).await;
    let access = world.sign_up("ada@example.com").await.access;
    let source = move || {
        let token = Secret::from(access.clone());
        async move { Ok::<_, Error>(Some(token)) }
    };
    let builder = Client::builder(&world.running.gateway_url).function(&world.running.supabase_url, "behest-token");
    let client = builder.session(source).build().unwrap();
    let mut stream = in_time(client.chat_stream(&ChatRequest::user("Hi"))).await.unwrap();
    let mut last = None;
    while let Some(chunk) = in_time(stream.next()).await {
        last = chunk.err();
    }
    assert_eq!(stream.outcome(), Some(Outcome::Disconnected));
    assert!(!stream.text().is_empty(), "what was said is kept");
    assert_ne!(last.unwrap().reason(), Reason::Internal);
    assert!(in_time(client.ask("Hi")).await.unwrap().contains("Hi"), "a 503 is tried again");
}
