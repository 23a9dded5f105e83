//! Streamed answers, and the truth about how they end.

use std::pin::pin;
use std::time::Duration;

use behest_client::client::transport::Transport;
use behest_client::client::{ChatRequest, ChatStream, Client, Message, Outcome, Timeouts};
use behest_client::{Error, Reason};
use futures_util::StreamExt;
use serde_json::json;

use crate::test;
use behest_client::testing::{Chunk, FUNCTION, Reply, World, default_reply, delta, event, finish, text};

fn gateway_streams(chunks: Vec<Chunk>) -> World {
    let world = World::new();
    world.serve(move |request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::stream(chunks.clone()),
    });
    world
}

fn open(world: &World, client: &Client) -> ChatStream {
    world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap()
}

/// Reads to the end: the outcome, the text kept, and the error if the stream gave one.
fn read(world: &World) -> (Outcome, String, Option<Error>) {
    let client = world.client();
    let mut stream = open(world, &client);
    let mut error = None;
    while let Some(item) = world.run(stream.next()) {
        assert!(error.is_none(), "nothing follows an error");
        error = item.err();
    }
    (stream.outcome().unwrap(), stream.text().to_owned(), error)
}

const DONE: &str = "data: [DONE]\n\n";

#[test]
fn every_end_has_its_outcome_and_keeps_the_text() {
    use Outcome::*;
    let event_error = "event: error\ndata: {\"message\":\"overloaded\"}\n\n";
    let usage = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
    let cases: Vec<(&str, Vec<Chunk>, Outcome, &str, Option<Reason>)> = vec![
        ("stop and [DONE]", vec![text(delta("Hi")), text(finish("stop")), text(DONE)], Complete, "Hi", None),
        ("stop, no [DONE]", vec![text(delta("Hi")), text(finish("stop"))], Complete, "Hi", None),
        ("[DONE], no finish_reason", vec![text(delta("Hi")), text(DONE)], Complete, "Hi", None),
        ("[DONE] without a blank line", vec![text(delta("Hi")), text("data: [DONE]")], Complete, "Hi", None),
        ("stop without a blank line", vec![text(delta("Hi")), text(finish("stop").trim_end())], Complete, "Hi", None),
        ("lines that end in CRLF", vec![text(delta("Hi").replace('\n', "\r\n")), text(DONE)], Complete, "Hi", None),
        (
            "usage after stop",
            vec![text(delta("Hi")), text(finish("stop")), text(usage), text(DONE)],
            Complete,
            "Hi",
            None,
        ),
        ("an unknown finish_reason", vec![text(delta("Hi")), text(finish("eos_token"))], Complete, "Hi", None),
        (
            "the connection breaks after stop",
            vec![text(delta("Hi")), text(finish("stop")), Chunk::Cut],
            Complete,
            "Hi",
            None,
        ),
        ("length", vec![text(delta("Hi")), text(finish("length")), text(DONE)], Length, "Hi", None),
        ("content_filter", vec![text(finish("content_filter")), text(DONE)], ContentFilter, "", None),
        ("tool_calls", vec![text(finish("tool_calls")), text(DONE)], ToolCalls, "", None),
        ("a clean close in the middle", vec![text(delta("Hi"))], Truncated, "Hi", Some(Reason::Truncated)),
        ("a clean close at once", vec![], Truncated, "", Some(Reason::Truncated)),
        (
            "a clean close inside an event",
            vec![text(delta("Hi")), text("data: {\"cho")],
            Truncated,
            "Hi",
            Some(Reason::Truncated),
        ),
        (
            "an empty finish_reason is none",
            vec![text(delta("Hi")), text(finish(""))],
            Truncated,
            "Hi",
            Some(Reason::Truncated),
        ),
        ("the connection breaks", vec![text(delta("Hi")), Chunk::Cut], Disconnected, "Hi", Some(Reason::Disconnected)),
        ("silence", vec![text(delta("Hi")), Chunk::Stall], Stalled, "Hi", Some(Reason::Stalled)),
        (
            "an error in the stream",
            vec![text(delta("Hi")), text("data: {\"error\":{\"code\":\"rate_limited\",\"message\":\"slow\"}}\n\n")],
            Failed,
            "Hi",
            Some(Reason::RateLimited),
        ),
        (
            "a flat error in the stream",
            vec![text("data: {\"error\":\"boom\",\"code\":500}\n\n")],
            Failed,
            "",
            Some(Reason::ServerError),
        ),
        (
            "a quota error in the stream",
            vec![text("data: {\"error\":{\"code\":\"insufficient_quota\"}}\n\n")],
            Failed,
            "",
            Some(Reason::QuotaExceeded),
        ),
        ("an event named error", vec![text(delta("Hi")), text(event_error)], Failed, "Hi", Some(Reason::ServerError)),
        (
            "no JSON",
            vec![text(delta("Hi")), text("data: {broken\n\n"), text(DONE)],
            Failed,
            "Hi",
            Some(Reason::InvalidResponse),
        ),
        (
            "comments and null are skipped",
            vec![text(": ping\n\n"), text("data: null\n\n"), text(delta("Hi")), text(DONE)],
            Complete,
            "Hi",
            None,
        ),
        (
            "null where OpenAI has nothing",
            vec![
                text("data: {\"choices\":null}\n\n"),
                text(
                    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}],\"usage\":null}\n\n",
                ),
                text(delta("Hi")),
                text(DONE),
            ],
            Complete,
            "Hi",
            None,
        ),
    ];
    for (what, chunks, outcome, kept, reason) in cases {
        let world = gateway_streams(chunks);
        let (got, text, error) = read(&world);
        assert_eq!((got, text.as_str()), (outcome, kept), "{what}");
        assert_eq!(error.as_ref().map(Error::reason), reason, "{what}: {error:?}");
    }
}

#[test]
fn any_split_of_the_bytes_gives_the_same_answer() {
    let whole = [delta("Gr\u{fc}\u{df}e \u{1F44B}"), delta(" an alle"), finish("stop"), DONE.to_owned()].concat();
    for size in 1..whole.len() {
        let chunks = whole.as_bytes().chunks(size).map(|chunk| Chunk::Bytes(chunk.to_vec())).collect();
        let (outcome, text, error) = read(&gateway_streams(chunks));
        assert_eq!((outcome, text.as_str()), (Outcome::Complete, "Gr\u{fc}\u{df}e \u{1F44B} an alle"), "{size}");
        assert!(error.is_none());
    }
}

#[test]
fn tool_calls_are_put_together_from_their_pieces() {
    let piece = |json: serde_json::Value| {
        text(format!("data: {}\n\n", serde_json::json!({"choices": [{"index": 0, "delta": {"tool_calls": json}}]})))
    };
    let call = |index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: &str| {
        let mut call = serde_json::json!({"function": {"arguments": arguments}});
        if let Some(index) = index {
            call["index"] = index.into();
        }
        if let Some(id) = id {
            call["id"] = id.into();
        }
        if let Some(name) = name {
            call["function"]["name"] = name.into();
        }
        call
    };
    let (a, b) = (Some("call_a"), Some("call_b"));
    let cases: [(&str, Vec<Vec<serde_json::Value>>); 8] = [
        (
            "as OpenAI sends them",
            vec![
                vec![call(Some(0), a, Some("f"), "")],
                vec![call(Some(0), None, None, "{\"x\"")],
                vec![call(Some(1), b, Some("g"), "")],
                vec![call(Some(0), None, None, ":1}")],
                vec![call(Some(1), None, None, "{}")],
            ],
        ),
        (
            "whole calls at once",
            vec![vec![call(Some(0), a, Some("f"), "{\"x\":1}"), call(Some(1), b, Some("g"), "{}")]],
        ),
        (
            "index 0 for every call",
            vec![
                vec![call(Some(0), a, Some("f"), "{\"x\"")],
                vec![call(Some(0), None, None, ":1}")],
                vec![call(Some(0), b, Some("g"), "{")],
                vec![call(Some(0), None, None, "}")],
            ],
        ),
        (
            "ids, no index",
            vec![
                vec![call(None, a, Some("f"), "{\"x\"")],
                vec![call(None, b, Some("g"), "{")],
                vec![call(None, a, None, ":1}")],
                vec![call(None, b, None, "}")],
            ],
        ),
        (
            "the name in every piece",
            vec![
                vec![call(Some(0), a, Some("f"), "{\"x\""), call(Some(1), b, Some("g"), "{")],
                vec![call(Some(0), a, Some("f"), ":1}"), call(Some(1), b, Some("g"), "}")],
            ],
        ),
        (
            "positions only",
            vec![
                vec![call(None, a, Some("f"), "{\"x\""), call(None, b, Some("g"), "{")],
                vec![call(None, None, None, ":1}"), call(None, None, None, "}")],
            ],
        ),
        (
            "another id for every piece, as vLLM's were",
            vec![
                vec![call(Some(0), a, Some("f"), "")],
                vec![call(Some(0), Some("call_x"), None, "{\"x\"")],
                vec![call(Some(0), Some("call_y"), None, ":1}")],
                vec![call(Some(1), b, Some("g"), "{}")],
            ],
        ),
        (
            "ids again where there is no index",
            vec![
                vec![call(None, a, Some("f"), "{\"x\"")],
                vec![call(None, a, Some("f"), ":1}")],
                vec![call(None, b, Some("g"), "{}")],
            ],
        ),
    ];
    for (what, pieces) in cases {
        let chunks = pieces.into_iter().map(|list| piece(list.into())).chain([text(finish("tool_calls")), text(DONE)]);
        let world = gateway_streams(chunks.collect());
        let client = world.client();
        let mut stream = open(&world, &client);
        while let Some(item) = world.run(stream.next()) {
            item.unwrap();
        }
        let calls: Vec<_> =
            stream.tool_calls().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str())).collect();
        assert_eq!(calls, [("call_a", "f", "{\"x\":1}"), ("call_b", "g", "{}")], "{what}");
        assert_eq!(stream.outcome(), Some(Outcome::ToolCalls));
    }
}

#[test]
fn whole_calls_of_one_tool_that_nothing_tells_apart_are_as_many() {
    // As Gemini's first compatible endpoints sent them.
    for (index, id) in [(json!(0), json!("")), (json!(null), json!(null))] {
        let piece = |arguments: &str| {
            let call = json!({"index": index, "id": id, "function": {"name": "f", "arguments": arguments}});
            text(event(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})))
        };
        let pieces = vec![piece("{\"x\":1}"), piece("{\"x\":2}"), text(finish("tool_calls"))];
        let world = gateway_streams(pieces);
        let client = world.client();
        let mut stream = open(&world, &client);
        while let Some(item) = world.run(stream.next()) {
            item.unwrap();
        }
        let calls: Vec<_> = stream.tool_calls().map(|call| (&*call.name, &*call.arguments)).collect();
        assert_eq!(calls, [("f", "{\"x\":1}"), ("f", "{\"x\":2}")], "{index} {id}");
    }
}

#[test]
fn the_trace_tells_when_the_first_text_came() {
    let wait = |seconds| Chunk::Wait(Duration::from_secs(seconds));
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let world = gateway_streams(vec![wait(1), text(role), wait(2), text(delta("Hi")), wait(4), text(DONE)]);
    let client = world.client();
    let mut stream = open(&world, &client);
    assert_eq!(stream.trace().first_content, None);
    while let Some(item) = world.run(stream.next()) {
        item.unwrap();
    }
    assert_eq!(stream.trace().first_content, Some(Duration::from_secs(3)));
    assert_eq!(stream.trace().session_id, "session-1");
}

#[test]
fn usage_is_kept() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5,\"cost\":0.1}}\n\n";
    let world = gateway_streams(vec![text(delta("Hi")), text(finish("stop")), text(usage), text(DONE)]);
    let client = world.client();
    let mut stream = open(&world, &client);
    while let Some(item) = world.run(stream.next()) {
        item.unwrap();
    }
    let usage = stream.usage().unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 2, 5));
    assert_eq!(usage.extra["cost"], 0.1);
    assert_eq!(stream.finish_reason(), Some("stop"));
}

#[test]
fn dropping_the_stream_cancels_the_request() {
    let world = gateway_streams(vec![text(delta("Hi")), Chunk::Stall]);
    let client = world.client();
    let mut stream = open(&world, &client);
    world.run(stream.next()).unwrap().unwrap();
    world.log(|log| assert_eq!(log.cancelled, 0));
    drop(stream);
    world.log(|log| assert_eq!(log.cancelled, 1));
}

#[test]
fn aborting_keeps_the_text_and_cancels_the_request() {
    let world = gateway_streams(vec![text(delta("Hi")), Chunk::Stall]);
    let client = world.client();
    let mut stream = open(&world, &client);
    world.run(stream.next()).unwrap().unwrap();
    stream.abort();
    assert!(world.run(stream.next()).is_none());
    assert_eq!((stream.outcome(), stream.text()), (Some(Outcome::Aborted), "Hi"));
    world.log(|log| assert_eq!(log.cancelled, 1));
    // An end that has come stays what it was.
    stream.abort();
    assert_eq!(stream.outcome(), Some(Outcome::Aborted));
}

#[test]
fn a_call_dropped_before_its_head_cancels_the_request() {
    let world = World::new();
    world.serve(|request, log| if request.url == FUNCTION { default_reply(request, log) } else { Reply::hang() });
    let client = world.client();
    {
        let request = ChatRequest::user("Hi!");
        let mut call = pin!(client.chat_stream(&request));
        assert!(world.poll_once(call.as_mut()).is_pending());
        world.log(|log| assert_eq!((log.chats(), log.cancelled), (1, 0)));
    }
    world.log(|log| assert_eq!(log.cancelled, 1));
}

#[test]
fn a_call_that_fails_before_its_stream_is_an_error_like_any_other() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::refused("no route"),
    });
    let client = world.client();
    let error = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).err().unwrap();
    assert_eq!((error.reason(), error.status()), (Reason::Network, None));
}

#[test]
fn nothing_is_read_before_it_is_asked_for() {
    let chunks = (0..50).map(|n| text(delta(&n.to_string()))).chain([text(DONE)]).collect();
    let world = gateway_streams(chunks);
    let client = world.client();
    let mut stream = open(&world, &client);
    world.log(|log| assert_eq!(log.chunks_read, 1, "the token reply only"));
    for asked in 1..=10 {
        world.run(stream.next()).unwrap().unwrap();
        world.log(|log| assert_eq!(log.chunks_read, 1 + asked));
    }
}

#[test]
fn the_idle_limit_begins_anew_with_every_byte() {
    let slow = |t| [Chunk::Wait(Duration::from_secs(59)), t];
    let chunks = [slow(text(": ping\n\n")), slow(text(delta("Hi"))), slow(text(DONE))].concat();
    let world = gateway_streams(chunks);
    assert_eq!(read(&world).0, Outcome::Complete);
    assert_eq!(world.seconds(), 177.0);
    let world = gateway_streams(vec![Chunk::Wait(Duration::from_secs(61)), text(DONE)]);
    assert_eq!(read(&world).0, Outcome::Stalled);
    assert_eq!(world.seconds(), 60.0);
}

#[test]
fn the_total_limit_covers_everything_and_is_off_by_default() {
    let drip: Vec<Chunk> =
        (0..1000).flat_map(|_| [Chunk::Wait(Duration::from_secs(30)), text(delta("x"))]).chain([text(DONE)]).collect();
    assert_eq!(read(&gateway_streams(drip.clone())).0, Outcome::Complete);
    let world = gateway_streams(drip);
    let mut timeouts = Timeouts::default();
    timeouts.total = Some(Duration::from_secs(100));
    let client = world.builder().timeouts(timeouts).build().unwrap();
    let mut stream = open(&world, &client);
    let mut last = None;
    while let Some(item) = world.run(stream.next()) {
        last = Some(item);
    }
    assert_eq!(last.unwrap().unwrap_err().reason(), Reason::Timeout);
    assert_eq!((stream.text(), world.seconds()), ("xxx", 100.0));
}

#[test]
fn an_event_larger_than_the_limit_is_refused() {
    let world = gateway_streams(vec![text(delta("Hi")), text(format!("data: {}", "x".repeat(2 << 20)))]);
    let (outcome, text, error) = read(&world);
    assert_eq!((outcome, text.as_str(), error.unwrap().reason()), (Outcome::Failed, "Hi", Reason::EventTooLarge));
}

#[test]
fn a_success_that_is_no_stream_is_an_error_that_says_so() {
    for (kind, body, reason, said) in [
        ("application/json", r#"{"error":{"message":"streaming is off"}}"#, Reason::ServerError, "streaming is off"),
        ("application/json", r#"{"error":{"code":"insufficient_quota"}}"#, Reason::QuotaExceeded, "reported an error"),
        ("application/json; charset=utf-8", r#"{"choices":[]}"#, Reason::InvalidResponse, "instead of a stream"),
        ("text/html", "<html>", Reason::InvalidResponse, "text/html"),
    ] {
        let world = World::new();
        world.serve(move |request, log| match request.url == FUNCTION {
            true => default_reply(request, log),
            false => Reply::bytes(200, kind, [body.as_bytes().to_vec()]),
        });
        let client = world.client();
        let error = world.run(client.chat_stream(&ChatRequest::user("Hi!"))).err().unwrap();
        assert_eq!((error.reason(), error.status()), (reason, Some(200)));
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_caller_who_takes_time_is_no_silence() {
    let world = gateway_streams(vec![text(delta("a")), text(delta("b")), text(DONE)]);
    let client = world.client();
    let mut stream = open(&world, &client);
    while let Some(item) = world.run(stream.next()) {
        item.unwrap();
        world.pass(3600);
    }
    assert_eq!((stream.outcome(), stream.text()), (Some(Outcome::Complete), "ab"));
}

#[test]
fn after_its_end_marker_a_stream_is_read_out_not_cancelled() {
    for (rest, cancelled) in
        [(vec![Chunk::Wait(Duration::from_secs(1)), text(": bye\n\n")], 0), (vec![Chunk::Stall], 1)]
    {
        let world = gateway_streams([vec![text(delta("Hi")), text(DONE)], rest].concat());
        let client = world.client();
        let mut stream = open(&world, &client);
        while let Some(item) = world.run(stream.next()) {
            item.unwrap();
        }
        assert_eq!((stream.outcome(), world.seconds()), (Some(Outcome::Complete), 0.0), "nobody waits for it");
        world.run(world.sleep(Duration::from_secs(3)));
        world.log(|log| assert_eq!(log.cancelled, cancelled));
    }
}

#[test]
fn text_before_an_event_that_is_too_large_is_kept_in_any_split() {
    let huge = format!("{}data: {}", delta("Hi"), "x".repeat(2 << 20));
    for size in [huge.len(), 1 << 19, 60] {
        let pieces = huge.as_bytes().chunks(size).map(|piece| Chunk::Bytes(piece.to_vec())).collect();
        let (outcome, text, error) = read(&gateway_streams(pieces));
        assert_eq!((outcome, text.as_str(), error.unwrap().reason()), (Outcome::Failed, "Hi", Reason::EventTooLarge));
    }
}

#[test]
fn oddities_of_gateways_end_no_stream() {
    let error_false = "data: {\"error\":false,\"choices\":[]}\n\n";
    let (outcome, kept, _) =
        read(&gateway_streams(vec![text("data:\n\n"), text(error_false), text(delta("Hi")), text(DONE)]));
    assert_eq!((outcome, kept.as_str()), (Outcome::Complete, "Hi"));
    // The answer asked for need not be the first of the list.
    let both = "data: {\"choices\":[{\"index\":1,\"delta\":{}},{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(read(&gateway_streams(vec![text(both)])).0, Outcome::Complete);
    let plain = "event: error\ndata: the model is gone\n\n";
    let (outcome, _, error) = read(&gateway_streams(vec![text(plain)]));
    assert_eq!((outcome, error.as_ref().map(Error::reason)), (Outcome::Failed, Some(Reason::ServerError)));
    assert!(error.unwrap().message().contains("the model is gone"));
}

#[test]
fn other_answers_of_the_same_call_do_not_mix() {
    let second =
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"},\"finish_reason\":\"length\"}]}\n\n";
    let world = gateway_streams(vec![text(second), text(delta("mine")), text(finish("stop")), text(DONE)]);
    let (outcome, text, _) = read(&world);
    assert_eq!((outcome, text.as_str()), (Outcome::Complete, "mine"));
}

#[test]
fn a_stream_is_aborted_from_elsewhere_in_the_middle_of_what_has_come() {
    let whole = [delta("a"), delta("b"), finish("stop"), DONE.to_owned()].concat();
    for chunks in [vec![text(whole)], vec![text([delta("a"), delta("b")].concat()), Chunk::Stall]] {
        let (stalls, world) = (chunks.len() == 2, gateway_streams(chunks));
        let client = world.client();
        let (mut stream, mut other) = (open(&world, &client), open(&world, &client));
        let handle = stream.abort_handle();
        assert_eq!(world.run(stream.next()).unwrap().unwrap().text(), "a");
        handle.clone().abort();
        assert_eq!(world.run(stream.next()), None);
        assert_eq!((stream.outcome(), stream.text()), (Some(Outcome::Aborted), "a"));
        assert_eq!(world.log(|log| log.cancelled), usize::from(stalls));
        // After its end it is of no account, to nobody.
        handle.abort();
        assert_eq!(world.run(other.next()).unwrap().unwrap().text(), "a");
        assert_eq!(world.run(other.next()).unwrap().unwrap().text(), "b");
    }
}

#[test]
fn a_stream_that_waits_is_woken_by_its_abort() {
    let world = gateway_streams(vec![text(delta("a")), Chunk::Stall]);
    let client = world.client();
    let mut stream = open(&world, &client);
    world.run(stream.next()).unwrap().unwrap();
    let handle = stream.abort_handle();
    {
        let mut next = pin!(stream.next());
        assert!(world.poll_once(next.as_mut()).is_pending());
        handle.abort();
        assert_eq!(world.run(next), None);
    }
    assert_eq!((stream.outcome(), world.seconds()), (Some(Outcome::Aborted), 0.0));
}

/// As models give it that tell what they thought (Mistral's).
#[test]
fn content_in_parts_is_its_text() {
    let thought = r#"{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]}"#;
    let parts =
        |parts: &str| format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":[{parts}]}}}}]}}"#) + "\n\n";
    let said = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
    let world = gateway_streams(vec![
        text(parts(thought)),
        text(parts(&said("Hel"))),
        text(parts(&[said("l"), thought.to_owned(), said("o")].join(","))),
        text(finish("stop")),
    ]);
    assert_eq!(read(&world), (Outcome::Complete, "Hello".to_owned(), None));

    let world = World::new();
    world.serve(move |request, log| match request.url == FUNCTION {
        true => default_reply(request, log),
        false => Reply::json(
            200,
            format!(r#"{{"choices":[{{"message":{{"role":"assistant","content":[{thought},{}]}}}}]}}"#, said("Hello")),
        ),
    });
    let answer = world.run(world.client().chat(&ChatRequest::user("Hi!"))).unwrap();
    assert_eq!(answer.text(), Some("Hello"));
}

#[test]
fn a_refusal_is_what_the_model_says() {
    let delta = |fields: &str| format!(r#"data: {{"choices":[{{"index":0,"delta":{{{fields}}}}}]}}"#) + "\n\n";
    let world = gateway_streams(vec![
        text(delta(r#""content":null,"refusal":"""#)),
        text(delta(r#""refusal":"I will ""#)),
        text(delta(r#""refusal":"not.""#)),
        text(finish("stop")),
    ]);
    assert_eq!(read(&world), (Outcome::Complete, "I will not.".to_owned(), None));

    let message: Message = serde_json::from_str(r#"{"role":"assistant","content":null,"refusal":"No."}"#).unwrap();
    assert_eq!(message.text(), Some("No."));
}
