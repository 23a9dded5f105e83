//! The feature `tracing`: which spans there are, what they say, and that no token and no text is in them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, Once};

use behest_client::client::ChatRequest;
use behest_client::testing::{Chunk, FUNCTION, Reply, World, access_token, default_reply, delta, finish, jwt, text};
use futures_util::StreamExt as _;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What was told of each span, in the order of their beginnings.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Told>>>);

#[derive(Default)]
struct Told {
    name: &'static str,
    fields: Vec<(&'static str, String)>,
    handles: i32,
}

struct Fields<'a>(&'a mut Vec<(&'static str, String)>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name(), format!("{value:?}").trim_matches('"').to_owned()));
    }
}

impl Spans {
    fn of(&self, id: &Id, change: impl FnOnce(&mut Told)) {
        change(&mut self.0.lock().unwrap()[id.into_u64() as usize - 1]);
    }

    /// Names and fields of all of them.
    fn told(&self) -> Vec<String> {
        let line = |told: &Told| {
            let fields = told.fields.iter().map(|(name, value)| format!(" {name}={value}"));
            told.name.to_owned() + &fields.collect::<String>()
        };
        self.0.lock().unwrap().iter().map(line).collect()
    }

    fn all_are_closed(&self) -> bool {
        self.0.lock().unwrap().iter().all(|told| told.handles == 0)
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "behest_client"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut told = Told { name: attributes.metadata().name(), handles: 1, ..Told::default() };
        attributes.record(&mut Fields(&mut told.fields));
        let mut spans = self.0.lock().unwrap();
        spans.push(told);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.of(id, |told| values.record(&mut Fields(&mut told.fields)));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        panic!("there are spans only: {event:?}");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn clone_span(&self, id: &Id) -> Id {
        self.of(id, |told| told.handles += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        self.of(&id, |told| told.handles -= 1);
        false
    }
}

/// Wants all spans and keeps none.
struct Everybody;

impl Subscriber for Everybody {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "behest_client"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// What is told while this happens, with everything over.
fn told(happens: impl FnOnce(&World)) -> Vec<String> {
    // Else other tests, which nobody listens to, would switch off for good the spans that they are first to meet.
    static GLOBAL: Once = Once::new();
    GLOBAL.call_once(|| tracing::subscriber::set_global_default(Everybody).unwrap());
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || happens(&World::new()));
    assert!(spans.all_are_closed());
    spans.told()
}

fn named<'a>(name: &str, lines: &'a [String]) -> Vec<&'a str> {
    lines.iter().map(|line| &**line).filter(|line| line.starts_with(name)).collect()
}

const PROMPT: &str = "a question nobody may read";
const ANSWER: &str = "an answer nobody may read";

#[test]
fn a_stream_is_a_call_a_session_a_mint_and_a_stream() {
    let token = jwt(&json!({"sub": "secret-of-the-gateway"}));
    let minted = token.clone();
    let lines = told(move |world| {
        world.serve(move |request, _| match request.url == FUNCTION {
            true => behest_client::testing::bundle(&minted, 900),
            false => {
                let answer = Reply::stream([text(delta(ANSWER)), text(finish("stop"))]);
                answer.header("x-trace-id", "trace-1")
            }
        });
        let client = world.client();
        let mut stream = world.run(client.chat_stream(&ChatRequest::user(PROMPT))).unwrap();
        while world.run(stream.next()).is_some() {}
    });
    assert_eq!(
        lines,
        [
            "call kind=stream cached=false retries=0 session_id=session-1 trace_id=trace-1",
            "session signed_in=true",
            "mint status=200",
            "stream session_id=session-1 trace_id=trace-1 outcome=complete",
        ]
    );
    let all = lines.join("\n");
    for secret in [PROMPT, ANSWER, &token, access_token("user-1", "login-1").expose()] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn a_call_tells_what_it_failed_with_and_how_often_it_was_repeated() {
    let lines = told(|world| {
        world.serve(|request, log| match request.url == FUNCTION {
            true => default_reply(request, log),
            false if log.chats() == 1 => Reply::json(503, "{}"),
            false if log.chats() == 2 => default_reply(request, log),
            false => {
                let refusal = format!(r#"{{"error":{{"message":"no {PROMPT}","code":"x"}}}}"#);
                Reply::json(400, refusal).header("x-trace-id", "trace-2")
            }
        });
        let client = world.client();
        world.run(client.ask(PROMPT)).unwrap();
        world.run(client.ask(PROMPT)).unwrap_err();
        world.run(client.warm()).unwrap();
    });
    assert_eq!(
        named("call", &lines),
        [
            "call kind=ask status=200 cached=false retries=1 session_id=session-1",
            "call kind=ask reason=invalid_request status=400 trace_id=trace-2",
            "call kind=warm session_id=session-1",
        ]
    );
    assert!(!lines.join("\n").contains(PROMPT), "{lines:?}");
}

#[test]
fn what_ends_early_says_so() {
    let lines = told(|world| {
        world.signed_out();
        world.run(world.client().ask("Hi!")).unwrap_err();
        world.sessions(|| panic!("never asked"));
        world.signed_in("user-1", "login-1");
        world.serve(|request, log| match request.url == FUNCTION {
            true => default_reply(request, log),
            false => Reply::stream([text(delta(ANSWER)), Chunk::Cut]),
        });
        let client = world.client();
        let mut stream = world.run(client.chat_stream(&ChatRequest::user(PROMPT))).unwrap();
        while world.run(stream.next()).is_some() {}
        let aborted = world.run(client.chat_stream(&ChatRequest::user(PROMPT))).unwrap();
        drop(aborted);
        world.serve(|_, _| Reply::hang());
        let mut call = Box::pin(client.ask(PROMPT));
        assert!(world.poll_once(call.as_mut()).is_pending());
        drop(call);
    });
    assert_eq!(lines[..2], ["call kind=ask reason=signed_out", "session signed_in=false"]);
    assert_eq!(
        named("stream", &lines),
        [
            "stream session_id=session-1 reason=disconnected outcome=disconnected",
            "stream session_id=session-1 outcome=aborted"
        ]
    );
    assert_eq!(named("call", &lines).last(), Some(&"call kind=ask reason=aborted"));
}
