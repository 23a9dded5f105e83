//! The targets: each takes any bytes, and panics where a promise is broken.

use std::sync::Arc;
use std::time::Duration;

use behest_client::auth::{MemoryStorage, Storage as _, Supabase};
use behest_client::client::ChatRequest;
use behest_client::server::webhook::Webhook;
use behest_client::server::{Clock, Guard, HttpClient, HttpError, Limits, Settings, TokenEndpoint};
use behest_client::testing::{Chunk, FUNCTION, Reply, SUPABASE, World, bundle as good_bundle, default_reply};
use behest_client::wire::{ErrorBody, TokenReply, decode_token};
use behest_client::{Error, Reason};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use serde_json::{Value, json};

type Target = fn(&[u8]);

/// By name, with what their inputs are made from.
pub(crate) const ALL: &[(&str, Target, &[&[u8]])] = &[
    (
        "bundle",
        bundle,
        &[
            br#"{"token":"t","ttl":900,"sessionId":"s","expiresAt":4000000000}"#,
            br#"{"access_token":"t","expires_in":60.5}"#,
            br#"{"jwt":"eyJhbGciOiJub25lIn0.eyJpYXQiOjEsImV4cCI6MTAwfQ.x","ttl":"9"}"#,
        ],
    ),
    (
        "error_body",
        error_body,
        &[
            br#"{"error":{"code":"rate_limited","message":"slow","retry_after":3}}"#,
            br#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            br#"{"code":400,"error_code":"bad","msg":"no"}"#,
            b"plain words",
            b"<html>",
        ],
    ),
    (
        "claims",
        claims,
        &[b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1IiwiZXhwIjoxMDB9.c2ln", b"a.b.c", b"..", br#"{"alg":"none"}"#],
    ),
    ("stream", stream, STREAMS),
    (
        "stream_made",
        stream_made,
        &[b"Hello, world", "Gr\u{fc}\u{df}e \u{1f30d}\n\"\\".as_bytes(), b"\x00\x01\x02\x03\x04\x05\x06\x07"],
    ),
    (
        "chunk",
        chunk,
        &[
            br#"{"id":"c","choices":[{"index":0,"delta":{"content":"Gr\u00fc\u00dfe"},"finish_reason":null}],"usage":{"total_tokens":1}}"#,
            br#"{"choices":[{"index":1,"delta":{"content":"b"}},{"delta":{"content":"a","x":[1.5,-0,1e3,true,{}]}}],"error":null}"#,
            br#"{"error":{"message":"no"},"choices":[]}"#,
            br#"[{"choices":[{"index":0.0,"delta":{"content":"list"}}]}]"#,
        ],
    ),
    (
        "retry_after",
        retry_after,
        &[b"120", b"1.5", b"Mon, 21 Sep 2026 14:13:27 GMT", b"-1", b"1e9", b"99999999999999999999999999"],
    ),
    (
        "calls",
        calls,
        &[
            b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f",
            b"aabbccddeeffgghh",
            b"\xff\xfe\xfd\xfc\xfb\xfa",
        ],
    ),
    (
        "session",
        session,
        &[
            b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImN1cnJlbnQifQ.eyJzdWIiOiJ1In0.c2ln",
            b"sb_secret_x",
            b"behest_sk_live_x",
            b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.",
        ],
    ),
    (
        "stored",
        stored,
        &[
            br#"{"access_token":"a.eyJzdWIiOiJ1In0.c","refresh_token":"r","expires_at":4000000000,"user":{"id":"u","email":"a@b.c"}}"#,
            br#"{"access_token":"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1Iiwic2Vzc2lvbl9pZCI6InMiLCJpYXQiOjEsImV4cCI6NH0.x","refresh_token":"r","expires_in":60}"#,
            br#"{"access_token":"a","refresh_token":"r","expires_at":4e9,"user":{"id":"u","is_anonymous":true},"provider_token":"p"}"#,
            b"base64-eyJhY2Nlc3NfdG9rZW4iOiJhIn0",
        ],
    ),
    (
        "keys",
        keys,
        &[
            b"behest_sk_live_0123456789abcdef",
            b"behest_pk_x",
            b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
            b"-----BEGIN RSA PRIVATE KEY-----\\nMIIB\\n-----END RSA PRIVATE KEY-----",
            b"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
            &[0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x00],
        ],
    ),
    (
        "jwks",
        jwks,
        &[
            br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AAAA","y":"AAAA","alg":"ES256"}]}"#,
            br#"[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"}]"#,
            br#"{"keys":[{"kty":"oct","k":"AAAA"},null,7,{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#,
        ],
    ),
    (
        "webhook",
        webhook,
        &[
            b"t=1795000000,v1=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            b"sha256=00",
            b"v1,AAAA v1,BBBB",
            b"t=,v1=,v0=",
        ],
    ),
    (
        "origin",
        origin,
        &[
            b"https://app.example.com",
            b"https://app.example.com.evil.example",
            b"null",
            b"https://app.example.com:443",
            b"HTTPS://APP.EXAMPLE.COM",
            b"https://app.example.com/",
        ],
    ),
];

const STREAMS: &[&[u8]] = &[
    b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" you\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    b"\xef\xbb\xbf: ping\r\nid: 7\r\ndata: {\"choices\":[{\"delta\":\r\ndata: {\"content\":\"\\ud83d\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\ude00\"}}]}\r\n\r\n",
    b"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}],\"usage\":{\"prompt_tokens\":1}}\n\nevent: error\ndata: {\"message\":\"no\"}\n\n",
];

/// Whatever serde_json takes for a bundle is one, and nothing else is; but a lone surrogate and a byte order mark are no reason to refuse.
fn bundle(input: &[u8]) {
    let ours = TokenReply::parse(input);
    let plain = !input.starts_with(b"\xef\xbb\xbf") && !input.windows(2).any(|pair| pair == b"\\u");
    match (ours, serde_json::from_slice::<Value>(input)) {
        (Ok(reply), Ok(theirs)) => {
            let known = ["token", "jwt", "access_token"].iter().any(|name| theirs[name] == *reply.token.expose());
            assert!(known, "the token is none of {theirs}");
            assert!(reply.ttl > Duration::ZERO && reply.token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        // JSON sets numbers no limit; what is too large for serde_json is only unused here.
        (Ok(_), Err(error)) => assert!(!plain || error.to_string().contains("out of range"), "serde_json says {error}"),
        (Err(error), Ok(theirs)) => {
            assert_eq!(error.reason(), Reason::InvalidBundle);
            let token = theirs["token"]
                .as_str()
                .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            let is_good = token.is_some_and(|token| !token.contains('.'))
                && theirs["ttl"].as_f64().is_some_and(|ttl| ttl > 1e-3 && ttl < 3e9);
            assert!(!is_good, "{error} for {theirs}");
        }
        (Err(_), Err(_)) => {}
    }
}

/// JSON that serde_json reads otherwise, or not at all: numbers too large, halves of characters, deep nesting.
fn is_of_another_opinion(text: &str, error: &serde_json::Error) -> bool {
    let error = error.to_string();
    text.contains("\\u") || error.contains("out of range") || error.contains("recursion limit")
}

/// The one pass over a chunk finds what serde_json does: the chunk, the text of the first answer, or an error.
fn chunk(input: &[u8]) {
    let Ok(sent) = std::str::from_utf8(input) else { return };
    let data = sent.strip_prefix('\u{feff}').unwrap_or(sent).trim_ascii();
    if sent.contains(['\n', '\r']) || matches!(data, "" | "null" | "[DONE]") {
        return;
    }
    let (text, end, reason) = outcome(vec![format!("data: {sent}\n\ndata: [DONE]\n\n").into_bytes()]);
    let value = match serde_json::from_str::<Value>(data) {
        Ok(value) => value,
        Err(error) => {
            let is_refused = reason == Some(Reason::InvalidResponse);
            return assert!(
                is_refused || is_of_another_opinion(data, &error),
                "{reason:?}, but serde_json says {error}"
            );
        }
    };
    let Value::Object(chunk) = value else { return assert_eq!((text.as_str(), reason), ("", None)) };
    let is_report = match chunk.get("error") {
        Some(Value::Object(error)) => !error.is_empty(),
        Some(Value::String(error)) => !error.is_empty(),
        _ => false,
    };
    if is_report {
        return assert!(reason.is_some() && text.is_empty(), "{reason:?} {text}");
    }
    let is_first = |choice: &&Value| {
        choice.is_object() && (choice["index"].is_null() || choice["index"].as_f64().is_some_and(|index| index == 0.0))
    };
    let first = chunk.get("choices").and_then(Value::as_array).and_then(|choices| choices.iter().find(is_first));
    let expected = first.and_then(|choice| choice["delta"]["content"].as_str()).unwrap_or_default();
    let is_failure = first.is_some_and(|choice| choice["finish_reason"] == "error");
    // What has another shape than a chunk's is refused by the types of the crate, after the pass.
    if reason != Some(Reason::InvalidResponse) {
        assert_eq!((text.as_str(), reason.is_some()), (expected, is_failure), "{end}");
    }
}

fn error_body(input: &[u8]) {
    for status in [400, 401, 429, 451, 503] {
        let error = ErrorBody::parse(input).into_error("the gateway", status);
        assert_eq!(error.status(), Some(status));
        assert!(error.message().chars().count() < 600 && !format!("{error} {error:?}").is_empty());
    }
}

/// A token is read if, and only if, the library for base64 and serde_json read it.
fn claims(input: &[u8]) {
    use base64::Engine as _;
    let Ok(text) = std::str::from_utf8(input) else { return };
    let parts: Vec<_> = text.split('.').collect();
    let bytes = match parts[..] {
        [_, payload, _] => base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok(),
        _ => None,
    };
    let theirs = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let theirs = theirs.and_then(|value| if let Value::Object(claims) = value { Some(claims) } else { None });
    assert_eq!(decode_token(text), theirs);
}

/// What a stream of these pieces comes to.
fn outcome(pieces: Vec<Vec<u8>>) -> (String, String, Option<Reason>) {
    let world = World::new();
    world.serve(move |request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::stream(pieces.iter().cloned().map(Chunk::Bytes)),
    });
    let client = world.client();
    world.run(async {
        let mut stream = client.chat_stream(&ChatRequest::user("Hi!")).await.expect("it opens");
        let (mut text, mut reason) = (String::new(), None);
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => text.push_str(chunk.text()),
                Err(error) => reason = Some(error.reason()),
            }
        }
        (text, format!("{:?}", stream.outcome()), reason)
    })
}

/// However the bytes are cut, they say the same.
fn stream(input: &[u8]) {
    let whole = outcome(vec![input.to_vec()]);
    let size = 1 + input.len() % 7;
    let cut = outcome(input.chunks(size).map(<[u8]>::to_vec).collect());
    assert_eq!(whole, cut, "in pieces of {size}");
}

/// A stream made from a text says exactly that text, whatever its line ends, escapes, comments and cuts.
fn stream_made(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let shape = input.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let end = ["\n", "\r\n", "\r"][shape % 3];
    let letters: Vec<char> = text.chars().collect();
    let mut sent = String::new();
    for (index, piece) in letters.chunks(1 + shape % 5).enumerate() {
        let content: String = piece.iter().collect();
        let content = if shape % 2 == 0 { json!(content).to_string() } else { escaped(&content) };
        if (shape + index) % 4 == 0 {
            sent += &format!(": a comment{end}");
        }
        sent += &format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{content}}},\"index\":0}}]}}{end}{end}");
    }
    sent += &format!("data: [DONE]{end}{end}");
    let pieces = sent.as_bytes().chunks(1 + shape % 11).map(<[u8]>::to_vec).collect();
    assert_eq!(outcome(pieces), (text, "Some(Complete)".to_owned(), None));
}

/// JSON with nothing but escapes.
fn escaped(text: &str) -> String {
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

fn retry_after(input: &[u8]) {
    let value = String::from_utf8_lossy(input).into_owned();
    let world = World::new();
    let sent = value.clone();
    world.serve(move |request, log| match request.url == FUNCTION || log.chats() > 1 {
        true => default_reply(request, log),
        false => Reply::json(429, "{}").header("retry-after", sent.clone()),
    });
    let result = world.run(world.client().ask("Hi!"));
    if let Ok(seconds) = value.parse::<u32>()
        && !value.starts_with('+')
    {
        assert_eq!(result.is_ok(), seconds <= 30, "{value}");
        assert!(seconds > 30 || world.seconds() == f64::from(seconds), "{value}");
    }
    assert!(world.seconds() <= 31.0, "{value} is waited for {} s", world.seconds());
}

/// Any order of answers, users and calls: everything settles, and no prompt leaves under another user's token.
fn calls(input: &[u8]) {
    let world = World::new();
    let replies = input.to_vec();
    let mut at = 0;
    world.serve(move |request, log| {
        at += 1;
        let choice = replies.get(at % replies.len().max(1)).copied().unwrap_or(0);
        let is_mint = request.url == FUNCTION;
        match choice % 11 {
            0 => Reply::refused("refused"),
            1 => Reply::json(401, "{}"),
            2 => Reply::json(503, "{}"),
            3 => Reply::json(429, "{}").header("retry-after", "1"),
            4 => Reply::hang(),
            5 => Reply::stream([Chunk::Bytes(b"data: {}\n\n".to_vec()), Chunk::Cut]),
            6 => Reply::stream([Chunk::Bytes(b"data: {}\n\n".to_vec()), Chunk::Stall]),
            7 if is_mint => good_bundle("short", 1),
            _ => default_reply(request, log),
        }
    });
    let client = world.client();
    for byte in input.iter().take(24) {
        match byte % 6 {
            0 => world.signed_in("alice", "a"),
            1 => world.signed_in("bob", "b"),
            2 => world.signed_out(),
            3 => world.pass(u64::from(*byte)),
            4 => {
                let _: Result<String, Error> = world.run(client.ask("Hi!"));
            }
            _ => world.run(async {
                if let Ok(mut stream) = client.chat_stream(&ChatRequest::user("Hi!")).await {
                    while stream.next().await.is_some() {}
                    assert!(stream.outcome().is_some());
                }
            }),
        }
    }
}

/// Servers that cannot be reached.
#[derive(Debug)]
struct Nobody;

impl HttpClient for Nobody {
    fn send(&self, _: Request<Bytes>, _: Limits) -> BoxFuture<'static, Result<Response<Bytes>, HttpError>> {
        Box::pin(async { Err(HttpError::Failed("nobody is there".into())) })
    }
}

const PAGE: &str = "https://app.example.com";
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"current","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fn settings(more: &[(&str, &str)]) -> Settings {
    let usual = [
        ("SUPABASE_URL", "https://ref.supabase.co"),
        ("SUPABASE_JWKS", JWKS),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x"),
        ("BEHEST_KEY", "behest_sk_live_0123456789abcdef"),
        ("BEHEST_BASE_URL", "https://amber.behest.app"),
        ("CORS_ORIGIN", PAGE),
    ];
    let find =
        |name: &str| more.iter().chain(&usual).find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::from_lookup(find).http(Arc::new(Nobody)).clock(Clock::from_fn(|| Duration::from_secs(1_795_000_000)))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn post(name: &str, value: &[u8]) -> Option<Request<Bytes>> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(Request::post("/").header(name, value).body(Bytes::new()).unwrap())
}

/// Nothing made up is let in, and nothing of it is said back.
fn session(input: &[u8]) {
    let endpoint = TokenEndpoint::new(settings(&[])).unwrap();
    let Some(request) = post("authorization", &[b"Bearer ", input].concat()) else { return };
    let response = wait(endpoint.handle(request));
    // A key that is not known here is looked for among the project's, where nobody answers.
    assert!(matches!(response.status().as_u16(), 401 | 503), "{}", response.status());
    let said = String::from_utf8_lossy(response.body()).into_owned();
    if let Ok(sent) = std::str::from_utf8(input)
        && sent.len() > 20
    {
        assert!(!said.contains(sent), "{said}");
    }
}

/// What lies in the storage of a page may be anybody's: a session is found only where serde_json finds its tokens, and no token is
/// shown.
fn stored(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let world = World::new();
    world.serve(|_, _| Reply::refused("offline"));
    let storage = MemoryStorage::new();
    storage.set("sb-project-auth-token", text).expect("memory takes it");
    let builder = Supabase::builder(SUPABASE, "sb_publishable_x").transport(world.clone());
    let supabase = builder.storage(storage).build().unwrap();
    let found = world.run(supabase.session());
    let theirs = serde_json::from_str::<Value>(text.strip_prefix('\u{feff}').unwrap_or(text));
    match (found, theirs) {
        (Ok(Some(session)), Ok(theirs)) => {
            assert_eq!(theirs["access_token"], *session.access_token().expose());
            assert_eq!(theirs["refresh_token"], *session.refresh_token().expose());
            let shown = format!("{session:?} {:?}", session.user());
            let token = session.access_token().expose();
            assert!(token.len() < 8 || !shown.contains(token), "{shown}");
        }
        (Ok(Some(_)), Err(error)) => assert!(is_of_another_opinion(text, &error), "serde_json says {error}"),
        (Ok(None), Ok(theirs)) => {
            let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            let is_whole = is_text(&theirs["access_token"])
                && is_text(&theirs["refresh_token"])
                && theirs["expires_at"].as_f64().is_some_and(|moment| (3e9..4e9).contains(&moment))
                && is_text(&theirs["user"]["id"]);
            assert!(!is_whole, "{theirs}");
        }
        // It has expired, and there is nobody to renew it; or it is none.
        (Err(error), _) => assert_eq!(error.reason(), Reason::Network),
        (Ok(None), Err(_)) => {}
    }
    // And life goes on: whoever signs in next finds a storage that works.
    assert!(world.run(supabase.sign_in_with_password("ada@example.com", "correct horse")).is_err());
}

fn keys(input: &[u8]) {
    let Ok(key) = std::str::from_utf8(input) else { return };
    let ids = [("BEHEST_KID", "k"), ("BEHEST_TENANT_ID", "t"), ("BEHEST_PROJECT_ID", "p")];
    let Err(error) = TokenEndpoint::new(settings(&[&[("BEHEST_KEY", key)], &ids[..]].concat())) else { return };
    assert_eq!(error.reason(), Reason::Misconfigured);
    if key.trim().len() > 20 {
        assert!(!format!("{error} {error:?}").contains(key), "{error}");
    }
}

fn jwks(input: &[u8]) {
    let Ok(keys) = std::str::from_utf8(input) else { return };
    let Ok(guard) = Guard::new(settings(&[("SUPABASE_JWKS", keys)]), [behest_client::server::Mode::User]) else {
        return;
    };
    for head in
        [r#"{"alg":"ES256","kid":"a"}"#, r#"{"alg":"RS256","kid":"r"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"EdDSA"}"#]
    {
        use base64::Engine as _;
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", part(head), part(r#"{"sub":"u"}"#), part("no signature"));
        let request = post("authorization", format!("Bearer {token}").as_bytes()).unwrap();
        assert!(wait(guard.authenticate(request.headers())).is_err());
    }
}

/// No delivery is right that was not signed.
fn webhook(input: &[u8]) {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let mut headers = HeaderMap::new();
    for name in ["stripe-signature", "x-hub-signature-256", "webhook-signature"] {
        headers.insert(name, value.clone());
    }
    headers.insert("webhook-id", HeaderValue::from_static("id"));
    headers.insert("webhook-timestamp", HeaderValue::from_static("1795000000"));
    for hook in [Webhook::stripe(secret), Webhook::github(secret), Webhook::standard(secret)] {
        let hook = hook.unwrap().clock(Clock::from_fn(|| Duration::from_secs(1_795_000_000)));
        let error = wait(hook.verify(&headers, input)).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidWebhook);
    }
}

/// A page is let in if its origin is on the list, letter by letter.
fn origin(input: &[u8]) {
    let endpoint = TokenEndpoint::new(settings(&[])).unwrap();
    let Some(request) = post("origin", input) else { return };
    let response = wait(endpoint.handle(request));
    let allowed = response.headers().get("access-control-allow-origin");
    assert_eq!(allowed.is_some(), input == PAGE.as_bytes());
    assert!(allowed.is_none_or(|value| value == PAGE));
    let configured = String::from_utf8_lossy(input);
    if let Ok(endpoint) = TokenEndpoint::new(settings(&[("CORS_ORIGIN", &configured)])) {
        let request = post("origin", b"https://evil.example").unwrap();
        assert!(
            !wait(endpoint.handle(request)).headers().contains_key("access-control-allow-origin")
                || configured.contains("https://evil.example")
        );
    }
}
