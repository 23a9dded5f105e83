//! The native client in the fault matrix: carries out cells as `caller.mjs` does, and tells all that a caller can see. Cells come
//! in and what was told goes out as lines of JSON; table, servers and judge are those of the other clients.
#![allow(clippy::print_stdout, reason = "that is how it tells")]

use std::error::Error as StdError;
use std::time::Duration;

use behest_client::client::{ChatRequest, ChatStream, Client, SessionSource, Timeouts};
use behest_client::{Error, Reason, Secret};
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

/// So many cells at once, as in the other clients.
const TOGETHER: usize = 32;
/// A cell that is not settled by then hangs.
const HANG: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let cells = std::io::stdin().lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let cells = cells.collect::<Result<Vec<Value>, Box<dyn StdError>>>()?;
    // The app's own: for its session, and to say what it has seen.
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let tell = |cell: Value| {
        let http = http.clone();
        async move {
            let told = match tokio::time::timeout(HANG, carry_out(&http, &cell["options"])).await {
                Ok(Ok(told)) => told,
                Ok(Err(error)) => shown(&error),
                Err(_) => json!({ "hangs": true }),
            };
            println!("{}", json!({ "id": cell["id"], "told": told }));
        }
    };
    futures_util::stream::iter(cells).for_each_concurrent(TOGETHER, tell).await;
    Ok(())
}

async fn carry_out(http: &reqwest::Client, options: &Value) -> Result<Value, Error> {
    let client = client(http, options)?;
    match text(&options["kind"]) {
        "ask" => client.ask("Hi!").await.map(|text| json!({ "text": text })),
        _ => Ok(read(client.chat_stream(&ChatRequest::user("Hi!")).await?, http, text(&options["seenUrl"])).await),
    }
}

fn client(http: &reqwest::Client, options: &Value) -> Result<Client, Error> {
    let limit = |name: &str| Duration::from_millis(options["timeouts"][name].as_u64().unwrap_or_default());
    let timeouts = Timeouts::default().session(limit("sessionMs")).token(limit("tokenMs"));
    let timeouts = timeouts.first_byte(limit("firstByteMs")).idle(limit("idleMs")).content(limit("contentMs"));
    Client::builder(text(&options["behestUrl"]))
        .token_url(text(&options["tokenUrl"]))
        .max_retries(options["maxRetries"].as_u64().unwrap_or_default() as u32)
        .timeouts(timeouts)
        .session(session(http, options))
        .build()
}

/// Read from a server at each call, as an app of one's own might.
fn session(http: &reqwest::Client, options: &Value) -> impl SessionSource + use<> {
    let (http, url) = (http.clone(), options["sessionUrl"].as_str().map(str::to_owned));
    let given = text(&options["session"]).to_owned();
    move || {
        let (http, url, given) = (http.clone(), url.clone(), given.clone());
        async move {
            let Some(url) = url else { return Ok(Some(Secret::new(given))) };
            let failed = |what: &str| Error::new(Reason::SessionFailed, format!("the session server {what}"));
            let response = http.get(url).send().await.map_err(|_| failed("gave no answer"))?;
            if !response.status().is_success() {
                return Err(failed("refused"));
            }
            let body = response.bytes().await.map_err(|_| failed("broke off"))?;
            // As in browsers, a byte order mark is no part of it.
            let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
            let body: Value = serde_json::from_slice(body).map_err(|_| failed("sent no JSON"))?;
            let token = body["access_token"].as_str().ok_or_else(|| failed("sent no access token"))?;
            Ok(Some(Secret::new(token.to_owned())))
        }
    }
}

async fn read(mut stream: ChatStream, http: &reqwest::Client, seen_url: &str) -> Value {
    let (mut text, mut failure) = (String::new(), json!({}));
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) if !chunk.text().is_empty() => {
                if text.is_empty() {
                    // Whether it heard is its business.
                    drop(http.post(seen_url).send().await);
                }
                text.push_str(chunk.text());
            }
            Ok(_) => {}
            Err(error) => failure = shown(&error),
        }
    }
    let mut told = failure.as_object().cloned().unwrap_or_else(Map::new);
    told.insert("text".to_owned(), json!(text));
    told.insert("outcome".to_owned(), json!(stream.outcome().map(|outcome| outcome.as_str())));
    told.insert("kept".to_owned(), json!(stream.text()));
    Value::Object(told)
}

/// An error as far as it can be logged.
fn shown(error: &Error) -> Value {
    let mut heap = format!("{error} {error:?} {error:#?}");
    let mut cause = StdError::source(error);
    while let Some(below) = cause {
        heap += &format!(" {below} {below:?}");
        cause = below.source();
    }
    json!({
        "reason": error.reason().as_str(),
        "action": error.action().as_str(),
        "status": error.status(),
        "message": error.to_string(),
        "heap": heap,
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
