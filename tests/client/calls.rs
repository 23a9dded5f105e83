//! Chat, usage and models.

use std::time::Duration;

use behest_client::Reason;
use behest_client::client::{ChatRequest, Message, Outcome, UsageQuery};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::test;
use behest_client::testing::{FUNCTION, Reply, World, default_reply, header};

fn last_body(world: &World) -> Value {
    world.log(|log| serde_json::from_str(log.requests.last().unwrap().body.as_deref().unwrap()).unwrap())
}

#[test]
fn ask_sends_one_user_message_to_the_projects_model() {
    let world = World::new();
    assert_eq!(world.run(world.client().ask("Say \"hi\"\n\u{1F44B}\u{0}")).unwrap(), "Hello");
    let expected = json!({"model": "default", "messages": [{"role": "user", "content": "Say \"hi\"\n\u{1F44B}\u{0}"}]});
    assert_eq!(last_body(&world), expected);
}

#[test]
fn ask_gives_the_text_wherever_the_answer_has_it() {
    let messages = [
        (
            json!({"content": [{"type": "text", "text": "Hel"}, null, {"type": "text", "text": "l\u{f6}"}]}),
            "Hell\u{f6}",
        ),
        (json!({"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"text": "Hi"}]}), "Hi"),
        (json!({"content": null, "refusal": "I can't help with that."}), "I can't help with that."),
        (json!({"content": "Hi", "refusal": "", "tool_calls": []}), "Hi"),
        (json!({"content": "", "tool_calls": []}), ""),
    ];
    for (message, expected) in messages {
        let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string();
        let world = World::new();
        world.serve(move |request, log| match request.url == FUNCTION {
            true => default_reply(request, log),
            false => Reply::json(200, body.clone()),
        });
        assert_eq!(world.run(world.client().ask("Hi!")).unwrap(), expected);
    }
}

#[test]
fn unknown_fields_pass_through_in_both_directions() {
    let world = World::new();
    let reply = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi", "refusal": null}, "finish_reason": "stop", "logprobs": null}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5},
    });
    let body = reply.to_string();
    world.serve(move |request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::json(200, body.clone()).header("x-trace-id", "trace-1"),
    });
    let request = ChatRequest::new([Message::system("Be brief."), Message::user("Hi!")])
        .with("temperature", 0.2)
        .with("tools", json!([{"type": "function"}]));
    let response = world.run(world.client().chat(&request)).unwrap();
    let expected = json!({
        "model": "default", "temperature": 0.2, "tools": [{"type": "function"}],
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi!"}],
    });
    assert_eq!(last_body(&world), expected);
    assert_eq!(response.text(), Some("Hi"));
    assert_eq!(
        (response.trace.session_id.as_str(), response.trace.trace_id.as_deref()),
        ("session-1", Some("trace-1"))
    );
    assert_eq!(response.extra["system_fingerprint"], "f");
    assert_eq!(response.usage.unwrap().extra["cost"], 0.5);
}

#[test]
fn own_types_work_too() {
    #[derive(serde::Serialize)]
    struct Ask {
        model: &'static str,
        messages: Vec<Value>,
    }
    #[derive(serde::Deserialize)]
    struct Answer {
        id: String,
    }
    let world = World::new();
    let ask = Ask { model: "gpt", messages: vec![] };
    let answer: Answer = world.run(world.client().chat_as(&ask)).unwrap();
    assert_eq!(answer.id, "c1");
    assert_eq!(last_body(&world)["model"], "gpt");
}

#[test]
fn a_whole_answer_is_asked_for_by_name_whatever_the_request_says() {
    let world = World::new();
    let client = world.client();
    let request = ChatRequest::user("Hi!").with("model", "gpt").with("stream", true);
    assert_eq!(world.run(client.chat(&request)).unwrap().text(), Some("Hello"));
    assert_eq!((&last_body(&world)["model"], &last_body(&world)["stream"]), (&json!("gpt"), &Value::Null));
    let request = json!({"messages": [], "stream": true});
    let answer: Value = world.run(client.chat_as(&request)).unwrap();
    assert_eq!(answer["id"], "c1");
    let error = world.run(client.chat_as::<_, Value>(&[1])).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidRequest);
}

#[test]
fn streaming_is_asked_for_in_body_and_header() {
    let world = World::new();
    let client = world.client();
    drop(world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap());
    assert_eq!(last_body(&world)["stream"], true);
    world.log(|log| assert_eq!(header(log.requests.last().unwrap(), "accept"), Some("text/event-stream")));
}

#[test]
fn usage_is_found_at_either_documented_path() {
    for missing in [None, Some("/v1/usage")] {
        let world = World::new();
        world.serve(move |request, log| match request.url.as_str() {
            FUNCTION => default_reply(request, log),
            url if missing.is_some_and(|path| url.ends_with(path)) => Reply::json(404, "{}"),
            _ => Reply::json(200, r#"{"totals":{"tokens":7}}"#),
        });
        let reply = world.run(world.client().usage(&UsageQuery::default())).unwrap();
        assert_eq!(reply.json, r#"{"totals":{"tokens":7}}"#);
        world.log(|log| {
            let last = log.requests.last().unwrap();
            assert_eq!(last.method, "GET");
            assert_eq!(last.url.ends_with("/v1/billing/usage"), missing.is_some());
            assert_eq!(header(last, "content-type"), None);
        });
    }
}

#[test]
fn a_usage_report_may_be_narrowed_and_its_values_are_encoded() {
    let world = World::new();
    let query = UsageQuery::new().from("2026-11-01T00:00:00+00:00").to("2026-11-21").granularity("day");
    let _ = world.run(world.client().usage(&query));
    world.log(|log| {
        let url = &log.requests.last().unwrap().url;
        assert!(
            url.ends_with("/v1/usage?from=2026-11-01T00%3A00%3A00%2B00%3A00&to=2026-11-21&granularity=day"),
            "{url}"
        );
    });
}

#[test]
fn threads_are_listed_read_and_deleted() {
    let world = World::new();
    world.serve(|request, log| match (request.url == FUNCTION, request.method) {
        (true, _) => default_reply(request, log),
        (_, "DELETE") => Reply::json(204, ""),
        _ => Reply::json(200, "[]"),
    });
    let client = world.client();
    assert_eq!(world.run(client.threads()).unwrap().json, "[]");
    world.run(client.thread("t1")).unwrap();
    world.run(client.thread_messages("a/b?c \u{e9}")).unwrap();
    assert_eq!(world.run(client.delete_thread("t1")).unwrap().json, "");
    world.log(|log| {
        let calls: Vec<_> = log.requests[1..]
            .iter()
            .map(|r| (r.method, r.url.strip_prefix("https://gateway.example/v1/").unwrap()))
            .collect();
        assert_eq!(
            calls,
            [
                ("GET", "threads"),
                ("GET", "threads/t1"),
                ("GET", "threads/a%2Fb%3Fc%20%C3%A9/messages"),
                ("DELETE", "threads/t1"),
            ]
        );
    });
    for id in ["", ".", ".."] {
        assert_eq!(world.run(client.thread(id)).unwrap_err().reason(), Reason::InvalidRequest, "{id:?}");
    }
}

#[test]
fn limits_may_be_set_for_a_call() {
    let world = World::new();
    world.serve(|request, log| if request.url == FUNCTION { default_reply(request, log) } else { Reply::hang() });
    let error = world.run(world.client().with_timeout(Duration::from_secs(3)).ask("Hi!")).unwrap_err();
    assert_eq!((error.reason(), world.seconds()), (Reason::Timeout, 3.0));
    world.serve(
        |request, log| if request.url == FUNCTION { default_reply(request, log) } else { Reply::json(500, "{}") },
    );
    let before = world.log(|log| log.chats());
    assert!(world.run(world.client().with_max_retries(0).ask("Hi!")).is_err());
    world.log(|log| assert_eq!(log.chats(), before + 1));
}

#[test]
fn a_trace_tells_what_took_how_long_and_nothing_secret() {
    let world = World::new();
    let clock = world.clone();
    world.serve(move |request, log| {
        clock.pass(if request.url == FUNCTION { 2 } else { 3 });
        match log.chats() {
            _ if request.url == FUNCTION => default_reply(request, log),
            1 => Reply::json(429, "{}").header("retry-after", "5"),
            2 => Reply::json(401, "{}"),
            _ => default_reply(request, log),
        }
    });
    let client = world.client();
    let first = world.run(client.chat(&ChatRequest::user("Hi!"))).unwrap().trace;
    assert_eq!((first.cached, first.session, first.mint), (false, Some(Duration::ZERO), Some(Duration::from_secs(2))));
    assert_eq!(first.headers, Some(Duration::from_secs(3)));
    let retries: Vec<_> = first.retries.iter().map(|r| (r.reason, r.status, r.waited.as_secs())).collect();
    assert_eq!(retries, [(Reason::RateLimited, Some(429), 5), (Reason::InvalidToken, Some(401), 0)]);
    let second = world.run(client.chat(&ChatRequest::user("Hi!"))).unwrap().trace;
    assert_eq!((second.cached, second.session, second.mint, second.retries.len()), (true, None, None, 0));
    let shown = format!("{first:?}{second:?}");
    assert!(!shown.contains("token-") && !shown.contains("Hi!") && !shown.contains("http"), "{shown}");
}

#[test]
fn models_are_listed() {
    let world = World::new();
    world.serve(|request, log| match request.url.ends_with("/v1/models") {
        true => Reply::json(200, r#"{"data":[]}"#),
        false => default_reply(request, log),
    });
    assert_eq!(world.run(world.client().models()).unwrap().json, r#"{"data":[]}"#);
}

#[test]
fn tools_are_called_and_answered_in_typed_messages() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::json(
            200,
            json!({"choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "time", "arguments": "{\"zone\":\"UTC\"}"}},
                {"function": {"name": "now", "arguments": {"a": 1}}},
            ]}}]})
            .to_string(),
        ),
    });
    let client = world.client();
    let first = world.run(client.chat(&ChatRequest::user("What time is it?"))).unwrap();
    let calls = first.tool_calls();
    assert_eq!(
        (calls[0].id.as_str(), calls[0].name.as_str(), calls[0].arguments.as_str()),
        ("c1", "time", r#"{"zone":"UTC"}"#)
    );
    assert_eq!((calls[1].id.as_str(), calls[1].arguments.as_str()), ("", r#"{"a":1}"#));
    let messages =
        [Message::user("What time is it?"), Message::assistant_with(None, &calls[..1]), Message::tool("c1", "12:00")];
    world.serve(default_reply);
    world.run(client.chat(&ChatRequest::new(messages))).unwrap();
    let expected = json!([
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "time", "arguments": "{\"zone\":\"UTC\"}"}}]},
        {"role": "tool", "content": "12:00", "tool_call_id": "c1"},
    ]);
    assert_eq!(last_body(&world)["messages"], expected);
}

#[test]
fn streams_have_chunks_of_any_type_and_say_so_when_one_does_not_fit() {
    #[derive(serde::Deserialize)]
    struct Chunk {
        choices: Vec<Value>,
    }
    let world = World::new();
    let client = world.client();
    let request = json!({"model": "m", "messages": [], "stream": false});
    let mut stream = world.run(client.chat_stream_as::<_, Chunk>(&request)).unwrap();
    assert_eq!(last_body(&world), json!({"model": "m", "messages": [], "stream": true}));
    let mut texts = String::new();
    while let Some(chunk) = world.run(stream.next()) {
        texts.extend(chunk.unwrap().choices[0]["delta"]["content"].as_str());
    }
    assert_eq!((&*texts, stream.raw().outcome()), ("Hello", Some(Outcome::Complete)));
    let mut stream = world.run(client.chat_stream_as::<_, Vec<Value>>(&request)).unwrap();
    let error = world.run(stream.next()).unwrap().unwrap_err();
    assert_eq!((error.reason(), stream.raw().outcome()), (Reason::InvalidResponse, Some(Outcome::Failed)));
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("expected a sequence"), "{source}");
    let error = world.run(client.chat_stream_as::<_, Value>(&[1])).err().unwrap();
    assert_eq!(error.reason(), Reason::InvalidRequest);
}

#[test]
fn a_reply_is_parsed_into_any_type() {
    let world = World::new();
    let reply = world.run(world.client().models()).unwrap();
    let value: Value = reply.parse().unwrap();
    assert_eq!(value["id"], "c1");
    let error = reply.parse::<Vec<Value>>().unwrap_err();
    assert!(error.reason() == Reason::InvalidResponse && std::error::Error::source(&error).is_some(), "{error:?}");
    assert!(format!("{error:?}").contains(error.hint()), "{error:?}");
}
