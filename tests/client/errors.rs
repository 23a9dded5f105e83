//! What the servers say when they refuse, and what the caller learns of it.

use std::time::Duration;

use behest_client::client::{Client, Timeouts};
use behest_client::{Action, Error, Reason};

use crate::test;
use behest_client::testing::{Chunk, FUNCTION, Reply, World, default_reply};

fn ask(world: &World, client: &Client) -> Error {
    world.run(client.ask("Hi!")).unwrap_err()
}

fn gateway_says(reply: impl Fn() -> Reply + Send + 'static) -> Error {
    let world = World::new();
    world.serve(move |request, log| if request.url == FUNCTION { default_reply(request, log) } else { reply() });
    let client = world.builder().max_retries(0).build().unwrap();
    ask(&world, &client)
}

fn function_says(reply: impl Fn() -> Reply + Send + 'static) -> Error {
    let world = World::new();
    world.serve(move |_, _| reply());
    let client = world.builder().max_retries(0).build().unwrap();
    let error = ask(&world, &client);
    world.log(|log| assert_eq!(log.chats(), 0));
    error
}

#[test]
fn the_gateways_statuses_have_reasons_and_actions() {
    let cases = [
        (400, "{}", Reason::InvalidRequest, Action::FixConfig),
        (400, r#"{"error":{"code":"content_filter","status":400}}"#, Reason::ContentBlocked, Action::GiveUp),
        (401, "{}", Reason::InvalidToken, Action::ReMint),
        (402, r#"{"error":{"code":"quota_exceeded"}}"#, Reason::QuotaExceeded, Action::Upgrade),
        (403, "{}", Reason::Forbidden, Action::GiveUp),
        (404, "{}", Reason::NotFound, Action::FixConfig),
        (408, "{}", Reason::Timeout, Action::RetryAfter),
        (409, "{}", Reason::Conflict, Action::RetryAfter),
        (418, "{}", Reason::InvalidRequest, Action::FixConfig),
        (422, "{}", Reason::InvalidRequest, Action::FixConfig),
        (429, "{}", Reason::RateLimited, Action::RetryAfter),
        (429, r#"{"error":{"code":"insufficient_quota"}}"#, Reason::QuotaExceeded, Action::Upgrade),
        (429, r#"{"error":{"code":"budget_exceeded"}}"#, Reason::QuotaExceeded, Action::Upgrade),
        (451, "{}", Reason::ContentBlocked, Action::GiveUp),
        (451, r#"{"error":{"code":"pii_blocked"}}"#, Reason::PiiBlocked, Action::GiveUp),
        (451, r#"{"error":{"code":"content_blocked"}}"#, Reason::ContentBlocked, Action::GiveUp),
        (500, "", Reason::ServerError, Action::RetryAfter),
        (502, "<html>", Reason::ServerError, Action::RetryAfter),
        (599, "{}", Reason::ServerError, Action::RetryAfter),
        (304, "", Reason::InvalidResponse, Action::GiveUp),
    ];
    for (status, body, reason, action) in cases {
        let error = gateway_says(move || Reply::json(status, body));
        assert_eq!((error.reason(), error.action(), error.status()), (reason, action, Some(status)), "{status} {body}");
        assert!(error.to_string().contains(reason.hint()), "{error}");
    }
}

#[test]
fn all_documented_body_shapes_are_read() {
    let cases = [
        (
            r#"{"error":{"code":"validation_error","message":"no model","details":{"tier":1}}}"#,
            Some("validation_error"),
            "no model",
        ),
        (r#"{"error":"bad slug","code":"validation_error","retryable":false}"#, Some("validation_error"), "bad slug"),
        (r#"{"error":{"code":"BEHEST_AUTH_INVALID","message":"nope"}}"#, Some("BEHEST_AUTH_INVALID"), "nope"),
        (r#"{"message":"flat","code":"c"}"#, Some("c"), "flat"),
        (
            r#"{"error":{"type":"invalid_request_error","message":"openai","code":null}}"#,
            Some("invalid_request_error"),
            "openai",
        ),
        (r#"{"code":400,"error_code":"validation_failed","msg":"gotrue"}"#, Some("validation_failed"), "gotrue"),
        (r#"{"error":"invalid_grant","error_description":"oauth"}"#, None, "oauth"),
        (r#"{"code":401,"message":"numeric"}"#, Some("401"), "numeric"),
        (r#"[{"error":{"code":400,"message":"gemini","status":"INVALID_ARGUMENT"}}]"#, Some("400"), "gemini"),
        (r#"{"success":false,"error":[{"code":2001,"message":"cloudflare"}]}"#, Some("2001"), "cloudflare"),
        ("[]", None, "answered 400"),
        ("\"text\"", None, "answered 400"),
        ("not json", None, "answered 400"),
        ("", None, "answered 400"),
    ];
    for (body, code, said) in cases {
        let error = gateway_says(move || Reply::json(400, body));
        assert_eq!(error.code(), code, "{body}");
        assert!(error.message().contains(said), "{body}: {error}");
    }
    let error = gateway_says(|| Reply::json(400, format!(r#"{{"message":"{}"}}"#, "long ".repeat(1000))));
    assert!(error.message().len() < 600);
}

#[test]
fn the_trace_id_is_kept() {
    for name in ["x-trace-id", "x-request-id"] {
        let error = gateway_says(move || Reply::json(500, "{}").header(name, "trace-7"));
        assert_eq!(error.trace_id(), Some("trace-7"));
    }
}

#[test]
fn a_network_failure_has_no_status() {
    let error = gateway_says(|| Reply::refused("Failed to fetch"));
    assert_eq!((error.reason(), error.status()), (Reason::Network, None));
    assert!(error.to_string().contains("https://gateway.example") && error.to_string().contains("CORS"), "{error}");
}

#[test]
fn replies_that_are_no_completion_are_typed_errors() {
    let replies: [(&str, fn() -> Reply); 15] = [
        ("empty", || Reply::json(200, "")),
        ("html", || Reply::bytes(200, "text/html", [b"<!doctype html>".to_vec()])),
        ("half JSON", || Reply::json(200, r#"{"choices":[{"mes"#)),
        ("other JSON", || Reply::json(200, "[1,2]")),
        ("no choices", || Reply::json(200, r#"{"choices":[]}"#)),
        ("no text", || Reply::json(200, r#"{"choices":[{"message":{"content":null}}]}"#)),
        ("an error with status 200", || Reply::json(200, r#"{"error":{"message":"model is loading"}}"#)),
        ("an error beside no choices", || Reply::json(200, r#"{"choices":[],"error":{"code":502}}"#)),
        ("an error beside choices", || {
            Reply::json(200, r#"{"choices":[{"message":{"content":"Hel"}}],"error":{"code":502}}"#)
        }),
        ("an error as the reason", || {
            Reply::json(200, r#"{"choices":[{"message":{"content":"Hel"},"finish_reason":"error"}]}"#)
        }),
        ("tools in place of empty text", || {
            Reply::json(200, r#"{"choices":[{"message":{"content":"","tool_calls":[{}]}}]}"#)
        }),
        ("no part is text", || Reply::json(200, r#"{"choices":[{"message":{"content":[{"type":"thinking"}]}}]}"#)),
        ("an error in the choice", || {
            Reply::json(200, r#"{"choices":[{"message":{"content":"Hel"},"error":{"code":502}}]}"#)
        }),
        ("all tokens were thoughts", || {
            Reply::json(200, r#"{"choices":[{"message":{"content":""},"finish_reason":"length"}]}"#)
        }),
        ("bad UTF-8", || Reply::bytes(200, "application/json", [vec![0xFF, 0xFE]])),
    ];
    for (what, reply) in replies {
        let error = gateway_says(reply);
        let reason = if what.starts_with("an error") { Reason::ServerError } else { Reason::InvalidResponse };
        assert_eq!((error.reason(), error.status()), (reason, Some(200)), "{what}: {error}");
    }
    assert!(gateway_says(replies[6].1).message().contains("model is loading"));
    let filtered = gateway_says(|| {
        Reply::json(200, r#"{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}"#)
    });
    assert_eq!(filtered.reason(), Reason::ContentBlocked);
}

#[test]
fn a_json_reply_that_breaks_off_or_stalls_is_typed_and_bounded() {
    let partly = |last: Chunk| {
        move || {
            let mut reply = Reply::stream([Chunk::Bytes(b"{\"cho".to_vec()), last.clone()]);
            reply = reply.header("x-trace-id", "t");
            reply
        }
    };
    assert_eq!(gateway_says(partly(Chunk::Cut)).reason(), Reason::Disconnected);
    assert_eq!(gateway_says(partly(Chunk::Stall)).reason(), Reason::Timeout);
}

#[test]
fn every_wait_has_its_limit() {
    let hang = || World::new();
    // The function.
    let world = hang();
    world.serve(|_, _| Reply::hang());
    let error = ask(&world, &world.client());
    assert_eq!((error.reason(), world.seconds()), (Reason::Timeout, 15.0));
    assert!(error.message().ends_with("the token function (Timeouts::token)"), "{error}");
    // The gateway's head.
    let world = hang();
    world.serve(|request, log| if request.url == FUNCTION { default_reply(request, log) } else { Reply::hang() });
    let error = ask(&world, &world.client());
    assert_eq!((error.reason(), world.seconds()), (Reason::Timeout, 120.0));
    // All together.
    let world = hang();
    world.serve(|request, log| if request.url == FUNCTION { default_reply(request, log) } else { Reply::hang() });
    let mut timeouts = Timeouts::default();
    timeouts.total = Some(Duration::from_secs(7));
    let client = world.builder().timeouts(timeouts).build().unwrap();
    assert_eq!((ask(&world, &client).reason(), world.seconds()), (Reason::Timeout, 7.0));
    // A refusal whose body never comes, or never ends, is still that refusal, and soon.
    let world = hang();
    world.serve(|request, log| {
        if request.url == FUNCTION { default_reply(request, log) } else { Reply::stream([Chunk::Stall]).status(403) }
    });
    assert_eq!((ask(&world, &world.client()).reason(), world.seconds()), (Reason::Forbidden, 5.0));
    let world = hang();
    let drip: Vec<Chunk> =
        (0..1000).flat_map(|_| [Chunk::Wait(Duration::from_secs(1)), Chunk::Bytes(b" ".to_vec())]).collect();
    world.serve(move |request, log| {
        if request.url == FUNCTION { default_reply(request, log) } else { Reply::stream(drip.clone()).status(403) }
    });
    assert_eq!((ask(&world, &world.client()).reason(), world.seconds()), (Reason::Forbidden, 5.0));
}

#[test]
fn words_that_only_a_client_can_mean_are_not_believed_from_a_server() {
    for code in ["internal", "aborted", "signed_out", "budget_exhausted", "network"] {
        let error = function_says(move || Reply::json(500, format!(r#"{{"error":{{"code":"{code}"}}}}"#)));
        assert_eq!((error.reason(), error.code()), (Reason::ServerError, Some(code)));
    }
}

#[test]
fn what_a_developer_must_repair_is_not_retried() {
    let world = World::new();
    world.serve(|_, _| Reply::json(500, r#"{"error":{"code":"misconfigured","message":"m"}}"#));
    assert_eq!(ask(&world, &world.client()).reason(), Reason::Misconfigured);
    world.log(|log| assert_eq!(log.mints(), 1));
}

#[test]
fn the_functions_refusals_keep_its_own_reason_and_status() {
    let ours = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"as the function says","hint":"h"}}}}"#);
    let cases = [
        (401, ours("token_expired"), Reason::TokenExpired),
        (401, ours("wrong_issuer"), Reason::WrongIssuer),
        (403, ours("origin_refused"), Reason::OriginRefused),
        (503, ours("jwks_unavailable"), Reason::JwksUnavailable),
        (402, ours("quota_exceeded"), Reason::QuotaExceeded),
        // Functions of others, and Supabase's own gate.
        (
            401,
            r#"{"code":"UNAUTHORIZED_INVALID_JWT_FORMAT","message":"Invalid JWT"}"#.to_owned(),
            Reason::SessionRefused,
        ),
        (401, r#"{"code":401,"message":"Missing authorization header"}"#.to_owned(), Reason::SessionRefused),
        (401, r#"{"msg":"Invalid JWT"}"#.to_owned(), Reason::SessionRefused),
        (404, r#"{"code":"NOT_FOUND","message":"Requested function was not found"}"#.to_owned(), Reason::NotFound),
        (500, "{\"error\":\"Error: boom\"}".to_owned(), Reason::ServerError),
        (546, r#"{"code":"WORKER_LIMIT","message":"m"}"#.to_owned(), Reason::ServerError),
    ];
    for (status, body, reason) in cases {
        let reply = body.clone();
        let error = function_says(move || Reply::json(status, reply.clone()));
        assert_eq!((error.reason(), error.status()), (reason, Some(status)), "{body}");
    }
    let error =
        function_says(|| Reply::json(401, r#"{"error":{"code":"token_expired","message":"m","hint":"Do this."}}"#));
    assert!(error.hint() == "Do this." && error.to_string().ends_with("Do this."), "{error}");
}
