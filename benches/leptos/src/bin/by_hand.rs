//! The page with what one writes by hand: gloo-net, a token that is kept while it lives, and lines of server-sent events.

use std::cell::RefCell;

use gloo_net::http::Request;
use js_sys::{Reflect, Uint8Array};
use leptos::prelude::{Update as _, WriteSignal};
use leptos_page::{BEHEST_URL, SUPABASE_URL, access_token};
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::ReadableStreamDefaultReader;

const MARGIN_SECONDS: u64 = 60;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    token: String,
    session_id: String,
    expires_at: u64,
}

#[derive(Serialize)]
struct ChatRequest<'a> {
    model: &'a str,
    messages: [Message<'a>; 1],
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

thread_local! {
    static TOKEN: RefCell<Option<Token>> = const { RefCell::new(None) };
}

fn main() {
    leptos_page::mount(answer);
}

async fn answer(question: String, text: WriteSignal<String>) -> Result<(), String> {
    let token = token().await?;
    let messages = [Message { role: "user", content: &question }];
    let body = ChatRequest { model: "default", messages, stream: true };
    let reply = Request::post(&format!("{BEHEST_URL}/v1/chat/completions"))
        .header("authorization", &format!("Bearer {}", token.token))
        .header("x-session-id", &token.session_id)
        .json(&body)
        .map_err(|error| error.to_string())?
        .send()
        .await
        .map_err(|error| error.to_string())?;
    if !reply.ok() {
        return Err(format!("the gateway answered {}", reply.status()));
    }
    let reader: ReadableStreamDefaultReader =
        reply.body().ok_or("the answer has no body")?.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    while let Some(piece) = read(&reader).await.map_err(|_| "the answer broke off")? {
        bytes.extend(piece);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = bytes.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ") else { continue };
            // `[DONE]` is no JSON.
            let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { continue };
            if let Some(content) = chunk.choices.into_iter().next().and_then(|choice| choice.delta.content) {
                text.update(|text| text.push_str(&content));
            }
        }
    }
    Ok(())
}

async fn read(reader: &ReadableStreamDefaultReader) -> Result<Option<Vec<u8>>, JsValue> {
    let result = JsFuture::from(reader.read()).await?;
    if Reflect::get(&result, &"done".into())?.is_truthy() {
        return Ok(None);
    }
    Ok(Some(Uint8Array::new(&Reflect::get(&result, &"value".into())?).to_vec()))
}

async fn token() -> Result<Token, String> {
    let now = (js_sys::Date::now() / 1000.0) as u64;
    if let Some(token) = TOKEN.with_borrow(|kept| kept.clone().filter(|token| token.expires_at > now + MARGIN_SECONDS))
    {
        return Ok(token);
    }
    let session = access_token().ok_or("not signed in")?;
    let reply = Request::post(&format!("{SUPABASE_URL}/functions/v1/behest-token"))
        .header("authorization", &format!("Bearer {session}"))
        .send()
        .await
        .map_err(|error| error.to_string())?;
    if !reply.ok() {
        return Err(format!("the token function answered {}", reply.status()));
    }
    let token: Token = reply.json().await.map_err(|error| error.to_string())?;
    TOKEN.set(Some(token.clone()));
    Ok(token)
}
