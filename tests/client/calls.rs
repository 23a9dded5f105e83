//! Chat, usage and models.

use behest_client::client::{ChatRequest, Message};
use serde_json::{Value, json};

use crate::tests;
use crate::world::{FUNCTION, Reply, World, default_reply, header};

fn last_body(world: &World) -> Value {
    world.log(|log| serde_json::from_str(log.requests.last().unwrap().body.as_deref().unwrap()).unwrap())
}

tests! {
    fn ask_sends_one_user_message_to_the_projects_model() {
        let world = World::new();
        assert_eq!(world.run(world.client().ask("Say \"hi\"\n\u{1F44B}\u{0}")).unwrap(), "Hello");
        let expected = json!({"model": "default", "messages": [{"role": "user", "content": "Say \"hi\"\n\u{1F44B}\u{0}"}]});
        assert_eq!(last_body(&world), expected);
    }

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
        assert_eq!((response.session_id.as_str(), response.trace_id.as_deref()), ("session-1", Some("trace-1")));
        assert_eq!(response.extra["system_fingerprint"], "f");
        assert_eq!(response.usage.unwrap().extra["cost"], 0.5);
    }

    fn own_types_work_too() {
        #[derive(serde::Serialize)]
        struct Ask { model: &'static str, messages: Vec<Value> }
        #[derive(serde::Deserialize)]
        struct Answer { id: String }
        let world = World::new();
        let ask = Ask { model: "gpt", messages: vec![] };
        let answer: Answer = world.run(world.client().chat_as(&ask)).unwrap();
        assert_eq!(answer.id, "c1");
        assert_eq!(last_body(&world)["model"], "gpt");
    }

    fn streaming_is_asked_for_in_body_and_header() {
        let world = World::new();
        let client = world.client();
        drop(world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap());
        assert_eq!(last_body(&world)["stream"], true);
        world.log(|log| assert_eq!(header(log.requests.last().unwrap(), "accept"), Some("text/event-stream")));
    }

    fn usage_is_found_at_either_documented_path() {
        for missing in [None, Some("/v1/usage")] {
            let world = World::new();
            world.serve(move |request, log| match request.url.as_str() {
                FUNCTION => default_reply(request, log),
                url if missing.is_some_and(|path| url.ends_with(path)) => Reply::json(404, "{}"),
                _ => Reply::json(200, r#"{"totals":{"tokens":7}}"#),
            });
            let reply = world.run(world.client().usage()).unwrap();
            assert_eq!(reply.json, r#"{"totals":{"tokens":7}}"#);
            world.log(|log| {
                let last = log.requests.last().unwrap();
                assert_eq!(last.method, "GET");
                assert_eq!(last.url.ends_with("/v1/billing/usage"), missing.is_some());
                assert_eq!(header(last, "content-type"), None);
            });
        }
    }

    fn models_are_listed() {
        let world = World::new();
        world.serve(|request, log| match request.url.ends_with("/v1/models") {
            true => Reply::json(200, r#"{"data":[]}"#),
            false => default_reply(request, log),
        });
        assert_eq!(world.run(world.client().models()).unwrap().json, r#"{"data":[]}"#);
    }
}
