//! Answers of another server passed through. The upstream is a real server whose every step the test decides.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use behest_local::{Config, Upstream};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{DEADLINE, World, config, events, in_time, send};

type Chunk = Result<Bytes, std::io::Error>;

/// The next request the upstream got, and how to answer it.
struct Asked {
    headers: HeaderMap,
    body: Value,
    answer: oneshot::Sender<Response>,
}

struct Server {
    url: String,
    asked: mpsc::Receiver<Asked>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    async fn start() -> Self {
        let (ask, asked) = mpsc::channel::<Asked>(8);
        let handle = |State(ask): State<mpsc::Sender<Asked>>, headers: HeaderMap, body: Bytes| async move {
            let (answer, answered) = oneshot::channel();
            let body = serde_json::from_slice(&body).unwrap();
            ask.send(Asked { headers, body, answer }).await.unwrap();
            answered.await.unwrap_or_else(|_| StatusCode::IM_A_TEAPOT.into_response())
        };
        let router = Router::new().route("/v1/chat/completions", post(handle)).with_state(ask);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            axum::serve(listener, router).with_graceful_shutdown(stopped).await.unwrap();
        });
        Self { url, asked, _stop: stop }
    }

    async fn next(&mut self) -> Asked {
        in_time(self.asked.recv()).await.unwrap()
    }
}

/// A stream whose chunks the test sends one by one; closed when the gateway hangs up.
fn stream() -> (mpsc::Sender<Chunk>, Response) {
    let (chunks, receiver) = mpsc::channel(1);
    let body = Body::from_stream(ReceiverStream::new(receiver));
    (chunks, ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response())
}

fn delta(text: &str) -> String {
    format!("data: {}\n\n", json!({ "model": "m-1", "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

fn finish(reason: &str) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }))
}

const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":22}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

async fn world(server: &Server, upstream: impl FnOnce(&mut Upstream)) -> (World, String) {
    let mut settings = Upstream { url: server.url.clone(), key: None, model: None, silence: DEADLINE };
    upstream(&mut settings);
    let world = World::with(Config { upstream: Some(settings), ..config() }).await;
    let token = world.minted("ada").await;
    (world, token)
}

#[tokio::test]
async fn an_upstream_that_ignores_the_limit_is_cut_where_a_budget_applies() {
    let mut server = Server::start().await;
    let settings = Upstream { url: server.url.clone(), key: None, model: None, silence: DEADLINE };
    let budgets = vec!["session=1000".parse().unwrap()];
    let world = World::with(Config { upstream: Some(settings), budgets, ..config() }).await;
    let token = world.minted("ada").await;
    let mut body = question(true);
    body["max_tokens"] = json!(3);
    let answer = tokio::spawn(send(world.chat(&token, &body)));
    let asked = server.next().await;
    let (chunks, response) = stream();
    asked.answer.send(response).unwrap();
    let endless = async { while chunks.send(Ok(delta("more ").into())).await.is_ok() {} };
    in_time(endless).await;
    let text = in_time(answer).await.unwrap().text;
    assert_eq!(text.matches("more ").count(), 3, "{text}");
    assert!(text.contains("\"finish_reason\":\"length\"") && text.ends_with(DONE), "{text}");
    let row = world.running.admin().usage().await.unwrap().remove(0);
    assert_eq!((row.outcome.as_str(), row.source.as_str()), ("length", "estimated"));
    assert!(row.output_tokens <= 5, "{row:?}");
}

fn question(stream: bool) -> Value {
    json!({ "model": "default", "messages": [{ "role": "user", "content": "Hi" }], "stream": stream, "seed": 5 })
}

async fn put(chunks: &mpsc::Sender<Chunk>, text: impl Into<String>) {
    in_time(chunks.send(Ok(text.into().into()))).await.unwrap();
}

/// Reads until the text so far contains `end`.
async fn hear(response: &mut reqwest::Response, heard: &mut String, end: &str) {
    while !heard.contains(end) {
        let chunk = in_time(response.chunk()).await.unwrap().unwrap_or_else(|| panic!("no {end} in {heard}"));
        heard.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

#[tokio::test]
async fn each_chunk_arrives_before_the_upstream_sends_the_next() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |upstream| {
        upstream.key = Some("up-secret".into());
        upstream.model = Some("m-1".into());
    })
    .await;
    let call = tokio::spawn(world.chat(&token, &question(true)).send());
    let asked = server.next().await;
    assert_eq!(asked.headers["authorization"], "Bearer up-secret", "the user's token stays here");
    assert_eq!(asked.body["model"], "m-1", "in place of default");
    assert_eq!(asked.body["stream_options"], json!({ "include_usage": true }));
    assert_eq!((&asked.body["seed"], &asked.body["messages"]), (&json!(5), &question(true)["messages"]));
    let (chunks, response) = stream();
    asked.answer.send(response).unwrap();
    let mut response = in_time(call).await.unwrap().unwrap();

    let mut heard = String::new();
    for word in ["one", "two", "three"] {
        // The next word is sent only after this one was heard at the far end.
        put(&chunks, delta(word)).await;
        hear(&mut response, &mut heard, word).await;
    }
    put(&chunks, format!("{}{USAGE}", finish("stop"))).await;
    put(&chunks, DONE).await;
    hear(&mut response, &mut heard, "[DONE]").await;
    assert_eq!(in_time(response.chunk()).await.unwrap(), None, "the end is not held up by an upstream that stays open");
    assert!(!heard.contains("prompt_tokens"), "the gateway alone asked for usage");

    let rows = world.running.admin().usage().await.unwrap();
    let row = &rows[0];
    assert_eq!((row.input_tokens, row.output_tokens, row.source.as_str()), (11, 22, "counted"));
    assert_eq!((row.model.as_str(), row.outcome.as_str()), ("m-1", "complete"));
}

#[tokio::test]
async fn events_cut_anywhere_come_out_whole_and_unchanged() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let mut body = question(true);
    body["stream_options"] = json!({ "include_usage": true });
    let sent = format!(
        ": comment\r\n\r\n{}{}{USAGE}{DONE}",
        delta("héllo \u{1f600}").replace('\n', "\r\n"),
        finish("tool_calls")
    );
    let call = tokio::spawn(send(world.chat(&token, &body)));
    let asked = server.next().await;
    assert_eq!(asked.body["model"], "default", "without a model of its own the gateway passes on what it got");
    let (chunks, response) = stream();
    asked.answer.send(response).unwrap();
    for piece in sent.as_bytes().chunks(3) {
        in_time(chunks.send(Ok(Bytes::copy_from_slice(piece)))).await.ok();
    }
    assert_eq!(in_time(call).await.unwrap().text, sent);
    assert_eq!(world.counted("chat.tool_calls"), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_cancels_the_upstream() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let call = tokio::spawn(world.chat(&token, &question(true)).send());
    let (chunks, response) = stream();
    server.next().await.answer.send(response).unwrap();
    let mut response = in_time(call).await.unwrap().unwrap();
    put(&chunks, format!("{}{}{}", delta("a"), delta("b"), delta("c"))).await;
    hear(&mut response, &mut String::new(), "\"c\"").await;
    drop(response);
    in_time(chunks.closed()).await;
    world.reached("chat.aborted", 1).await;
    let rows = world.running.admin().usage().await.unwrap();
    assert_eq!((rows[0].output_tokens, rows[0].source.as_str()), (3, "estimated"), "a token for each chunk");
}

/// Some servers count first, some count nothing, some count along with each piece.
#[tokio::test]
async fn figures_from_before_the_answer_do_not_stand_for_it() {
    let usage = |output: i64| {
        format!("data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{output}}}}}\n\n")
    };
    let said = ["a", "b", "c"].map(delta).concat();
    let ended = || format!("{}{DONE}", finish("stop"));
    let cases = [
        (format!("{}{said}", usage(0)), false, (7, 3, "estimated")),
        (format!("{}{said}{}", usage(0), ended()), true, (7, 3, "estimated")),
        (format!("{said}{}{}", usage(0), ended()), true, (7, 3, "estimated")),
        (format!("{}{}{}{}", delta("a"), usage(1), delta("b"), delta("c")), false, (7, 3, "estimated")),
        (format!("{said}{}", usage(2)), false, (7, 2, "counted")),
        (format!("{said}{}{}", usage(2), ended()), true, (7, 2, "counted")),
    ];
    for (sent, ends, booked) in cases {
        let mut server = Server::start().await;
        let (world, token) = world(&server, |_| {}).await;
        let call = tokio::spawn(world.chat(&token, &question(true)).send());
        let (chunks, response) = stream();
        server.next().await.answer.send(response).unwrap();
        let mut response = in_time(call).await.unwrap().unwrap();
        put(&chunks, format!("{sent}{}", if ends { "" } else { ": here\n\n" })).await;
        hear(&mut response, &mut String::new(), if ends { "[DONE]" } else { ": here" }).await;
        drop(response);
        world.reached(if ends { "chat.complete" } else { "chat.aborted" }, 1).await;
        let row = world.running.admin().usage().await.unwrap().remove(0);
        assert_eq!((row.input_tokens, row.output_tokens, row.source.as_str()), booked, "{sent}");
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_before_the_first_byte_is_booked_too() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let call = tokio::spawn(world.chat(&token, &question(false)).send());
    let mut asked = server.next().await;
    call.abort();
    in_time(asked.answer.closed()).await;
    world.reached("chat.aborted", 1).await;
    assert_eq!(world.running.admin().usage().await.unwrap()[0].output_tokens, 0);
}

#[tokio::test]
async fn a_stream_that_goes_wrong_says_so_and_is_booked_as_it_ended() {
    // What the upstream sends, whether it then breaks, the outcome, and what the caller hears at the end.
    let said_error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_owned();
    let cases = [
        (delta("a"), true, "failed", Some("broke off")),
        (delta("a"), false, "truncated", None),
        (format!("{}data: {{\"cho", delta("a")), false, "truncated", None),
        (said_error, false, "failed", Some("overloaded")),
        (format!("{}{}", delta("a"), finish("content_filter")), false, "content_filter", None),
        (format!("{}{}", delta("a"), finish("length")), false, "length", None),
    ];
    for (sent, breaks, outcome, heard) in cases {
        let mut server = Server::start().await;
        let (world, token) = world(&server, |_| {}).await;
        let call = tokio::spawn(send(world.chat(&token, &question(true))));
        let (chunks, response) = stream();
        server.next().await.answer.send(response).unwrap();
        put(&chunks, &sent).await;
        if breaks {
            in_time(chunks.send(Err(std::io::Error::other("gone")))).await.unwrap();
        }
        drop(chunks);
        let answer = in_time(call).await.unwrap();
        assert!(answer.text.starts_with(&sent), "{}", answer.text);
        let added = &answer.text[sent.len()..];
        assert_eq!(added.is_empty(), !breaks, "{added}");
        if let Some(heard) = heard {
            let last: Value = serde_json::from_str(events(&answer.text).last().unwrap()).unwrap();
            assert!(last["error"]["message"].as_str().unwrap().contains(heard), "{last}");
        }
        assert!(!answer.text.contains("[DONE]"));
        assert_eq!(world.running.admin().usage().await.unwrap()[0].outcome, outcome);
    }
}

#[tokio::test]
async fn a_refusal_of_the_upstream_becomes_the_gateways() {
    let said = |message: &str| json!({ "error": { "message": message, "code": "x" } }).to_string();
    let cases = [
        (400, said("bad tool"), 400, "validation_error", "bad tool"),
        (404, said("no such model"), 400, "validation_error", "no such model"),
        (401, said("key up-secret is wrong"), 502, "server_error", "refuses the gateway's key"),
        (429, said("slow down"), 429, "rate_limited", "slow down"),
        (500, "<html>".to_owned(), 502, "server_error", "answered 500"),
        (504, String::new(), 504, "server_error", "too long"),
        (302, String::new(), 502, "server_error", "answered 302"),
        (200, "<html>".to_owned(), 502, "server_error", "not JSON"),
    ];
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    for (number, (status, body, expected, code, why)) in (1..).zip(cases) {
        let call = tokio::spawn(send(world.chat(&token, &question(number % 2 == 0))));
        let headers = [(header::RETRY_AFTER, "7"), (header::CONTENT_TYPE, "application/json")];
        let response = (StatusCode::from_u16(status).unwrap(), headers, body).into_response();
        server.next().await.answer.send(response).unwrap();
        let answer = in_time(call).await.unwrap();
        assert_eq!(answer.refusal(), (expected, code.to_owned()), "{status}");
        assert!(answer.text.contains(why) && !answer.text.contains("up-secret"), "{}", answer.text);
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("7"));
        assert_eq!(world.counted("chat.failed"), number);
    }
    let rows = world.running.admin().usage().await.unwrap();
    assert!(rows.iter().all(|row| row.cost_nanos == 0), "nothing was used");
}

#[tokio::test]
async fn a_key_that_the_upstream_repeats_is_passed_on_to_nobody() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |upstream| upstream.key = Some("up-secret".into())).await;
    let said = json!({ "error": { "message": "Bearer up-secret is not good here" } });
    let event = format!("data: {said}\n\n");
    for (status, media_type, body) in [
        (400, "application/json", said.to_string()),
        (404, "application/json", said.to_string()),
        (429, "text/plain", "Bearer up-secret is not good here".to_owned()),
        (200, "application/json", said.to_string()),
        (200, "text/event-stream", format!("{}{event}", delta("a"))),
    ] {
        let call = tokio::spawn(send(world.chat(&token, &question(false))));
        let status = StatusCode::from_u16(status).unwrap();
        server.next().await.answer.send((status, [(header::CONTENT_TYPE, media_type)], body).into_response()).unwrap();
        let answer = in_time(call).await.unwrap();
        assert!(answer.text.contains("not good here") && !answer.text.contains("up-secret"), "{}", answer.text);
    }
}

#[tokio::test]
async fn an_upstream_may_spell_its_media_type_but_not_compress() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let call = tokio::spawn(send(world.chat(&token, &question(true))));
    let body = format!("{}{}{DONE}", delta("a"), finish("stop"));
    let response = ([(header::CONTENT_TYPE, "Text/Event-Stream")], body).into_response();
    server.next().await.answer.send(response).unwrap();
    assert!(in_time(call).await.unwrap().text.ends_with(DONE));
    let call = tokio::spawn(send(world.chat(&token, &question(true))));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CONTENT_ENCODING, "gzip")];
    server.next().await.answer.send((headers, "\u{1f}").into_response()).unwrap();
    let refused = in_time(call).await.unwrap();
    assert_eq!(refused.refusal(), (502, "server_error".to_owned()));
    assert!(refused.text.contains("compressed"), "{}", refused.text);
}

#[tokio::test]
async fn an_upstream_that_is_away_or_silent_is_an_error_in_time() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut server = Server::start().await;
    let (world_away, token) = world(&server, |upstream| upstream.url = format!("http://{away}/v1")).await;
    let refused = send(world_away.chat(&token, &question(true))).await;
    assert_eq!(refused.refusal(), (502, "server_error".to_owned()));
    assert!(refused.text.contains("could not be reached"), "{}", refused.text);

    let (world, token) = world(&server, |upstream| upstream.silence = Duration::from_millis(500)).await;
    let call = tokio::spawn(send(world.chat(&token, &question(true))));
    let unanswered = server.next().await;
    assert_eq!(in_time(call).await.unwrap().refusal(), (504, "server_error".to_owned()));
    drop(unanswered);
}

#[tokio::test]
async fn an_upstream_that_breaks_off_was_reached() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let call = tokio::spawn(send(world.chat(&token, &question(false))));
    let half = [Ok(Bytes::from("{\"choices\":")), Err(std::io::Error::other("gone"))];
    let half = Body::from_stream(futures_util::stream::iter(half));
    server.next().await.answer.send(([(header::CONTENT_TYPE, "application/json")], half).into_response()).unwrap();
    let refused = in_time(call).await.unwrap();
    assert_eq!(refused.refusal(), (502, "server_error".to_owned()));
    assert!(refused.text.contains("The upstream broke off"), "{}", refused.text);
}

#[tokio::test]
async fn a_whole_answer_passes_unchanged() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let completion = json!({
        "model": "m-2",
        "choices": [{ "message": { "content": "Hello" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 1 },
        "system_fingerprint": "kept",
    });
    let call = tokio::spawn(send(world.chat(&token, &question(false))));
    let asked = server.next().await;
    assert_eq!(asked.body.get("stream_options"), None);
    asked.answer.send(axum::Json(completion.clone()).into_response()).unwrap();
    assert_eq!(in_time(call).await.unwrap().json(), completion);
    let rows = world.running.admin().usage().await.unwrap();
    assert_eq!((rows[0].model.as_str(), rows[0].input_tokens, rows[0].output_tokens), ("m-2", 3, 1));
}

#[tokio::test]
async fn stopping_cuts_answers_that_go_on_and_books_them() {
    let mut server = Server::start().await;
    let upstream = Upstream { url: server.url.clone(), key: None, model: None, silence: DEADLINE };
    let folder = tempfile::tempdir().unwrap();
    let data = Some(folder.path().join("data.sqlite"));
    let settings =
        Config { upstream: Some(upstream), grace: Duration::from_millis(50), data: data.clone(), ..config() };
    let world = World::with(settings).await;
    let token = world.minted("ada").await;
    let call = tokio::spawn(world.chat(&token, &question(true)).send());
    let (chunks, response) = stream();
    server.next().await.answer.send(response).unwrap();
    put(&chunks, delta("a")).await;
    let response = in_time(call).await.unwrap().unwrap();
    in_time(world.running.stop()).await;
    let text = in_time(response.text()).await.unwrap();
    assert!(text.contains("shutting down") && !text.contains("[DONE]"), "{text}");
    let again = World::with(Config { data, ..config() }).await;
    let rows = again.running.admin().usage().await.unwrap();
    assert_eq!((rows.len(), rows[0].outcome.as_str()), (1, "aborted"));
}

#[tokio::test]
async fn the_kill_switch_ends_what_is_running() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let call = tokio::spawn(world.chat(&token, &question(true)).send());
    let (chunks, response) = stream();
    server.next().await.answer.send(response).unwrap();
    put(&chunks, delta("a")).await;
    let mut response = in_time(call).await.unwrap().unwrap();
    hear(&mut response, &mut String::new(), "\"a\"").await;
    let whole = tokio::spawn(send(world.chat(&token, &question(false))));
    let unanswered = server.next().await;
    in_time(world.running.set_killed(true)).await.unwrap();
    let text = in_time(response.text()).await.unwrap();
    assert!(text.contains("kill switch") && !text.contains("[DONE]"), "{text}");
    in_time(chunks.closed()).await;
    assert_eq!(in_time(whole).await.unwrap().refusal(), (403, "forbidden".to_owned()));
    drop(unanswered);
    let rows = world.running.admin().usage().await.unwrap();
    let streamed = rows.iter().find(|row| row.outcome == "aborted").unwrap();
    assert_eq!((rows.len(), streamed.output_tokens), (2, 1), "{rows:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_booked_when_the_servers_stop() {
    let mut server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = Some(folder.path().join("data.sqlite"));
    let upstream = Upstream { url: server.url.clone(), key: None, model: None, silence: DEADLINE };
    let settings = Config { upstream: Some(upstream), grace: Duration::ZERO, data: data.clone(), ..config() };
    let world = World::with(settings).await;
    let token = world.minted("ada").await;
    let body = question(true).to_string();
    let address = world.running.gateway_url.strip_prefix("http://").unwrap();
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await.unwrap();
    let (chunks, response) = stream();
    server.next().await.answer.send(response).unwrap();
    // Until nothing more fits between the upstream and the client.
    let block = delta(&"word ".repeat(10_000));
    let full = Duration::from_millis(500);
    while tokio::time::timeout(full, chunks.send(Ok(block.clone().into()))).await.is_ok() {}
    in_time(world.running.stop()).await;
    let again = World::with(Config { data, ..config() }).await;
    let rows = again.running.admin().usage().await.unwrap();
    assert_eq!((rows.len(), rows[0].outcome.as_str()), (1, "aborted"));
    assert!(rows[0].output_tokens > 10_000, "{rows:?}");
    drop(client);
}

#[tokio::test]
async fn an_event_without_an_end_is_stopped() {
    let mut server = Server::start().await;
    let (world, token) = world(&server, |_| {}).await;
    let call = tokio::spawn(send(world.chat(&token, &question(true))));
    let (chunks, response) = stream();
    server.next().await.answer.send(response).unwrap();
    let block = Bytes::from(vec![b'x'; 1024 * 1024]);
    while in_time(chunks.send(Ok(block.clone()))).await.is_ok() {}
    let answer = in_time(call).await.unwrap();
    assert!(answer.text.contains("too large"), "{}", answer.text);
    assert!(answer.text.len() < 1024, "none of it is passed on");
    assert_eq!(world.counted("chat.failed"), 1);
}
