//! What the built-in responder does of what a model does.

use behest_local::Config;
use serde_json::{Value, json};

use crate::support::{World, config, events, send};

fn ask(content: &str, more: &Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": content }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let tool = |name: &str| {
        let parameters =
            json!({ "type": "object", "properties": { "city": { "type": "string" }, "days": { "type": "integer" } } });
        json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
    };
    json!([tool("get_weather"), tool("get_time")])
}

/// The names of the tools that a whole answer and a streamed one call, which must be the same.
async fn called(world: &World, token: &str, content: &str, more: &Value) -> Vec<String> {
    let whole = send(world.chat(token, &ask(content, more))).await.json();
    let choice = &whole["choices"][0];
    let calls: Vec<Value> = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    assert_eq!(choice["finish_reason"], if calls.is_empty() { "stop" } else { "tool_calls" });
    let mut body = ask(content, more);
    body["stream"] = json!(true);
    let text = send(world.chat(token, &body)).await.text;
    let mut streamed: Vec<(String, String)> = Vec::new();
    for event in events(&text).iter().filter(|event| *event != "[DONE]") {
        let event: Value = serde_json::from_str(event).unwrap();
        for piece in event.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array).into_iter().flatten() {
            let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
            if index == streamed.len() {
                assert!(piece["id"].is_string() && piece["type"] == "function", "{piece}");
                streamed.push((piece["function"]["name"].as_str().unwrap().to_owned(), String::new()));
            }
            streamed[index].1.push_str(piece["function"]["arguments"].as_str().unwrap());
        }
    }
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let calls: Vec<_> =
        calls.iter().map(|call| (text(&call["function"]["name"]), text(&call["function"]["arguments"]))).collect();
    assert_eq!(calls, streamed);
    for (_, arguments) in &calls {
        assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), json!({ "city": "text", "days": 1 }));
    }
    calls.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn it_calls_tools_as_it_is_told() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let with = |choice: Value| json!({ "tools": tools(), "tool_choice": choice });
    let both = "Use get_weather and get_time";
    let one = json!({ "type": "function", "function": { "name": "get_time" } });
    let among = |mode: &str| json!({ "type": "allowed_tools", "allowed_tools": { "mode": mode, "tools": [one] } });
    for (content, more, expected) in [
        ("Hello", json!({ "tools": tools() }), vec![]),
        (both, json!({ "tools": tools() }), vec!["get_weather", "get_time"]),
        (both, json!({ "tools": tools(), "parallel_tool_calls": false }), vec!["get_weather"]),
        (both, with(json!("none")), vec![]),
        ("Hello", with(json!("required")), vec!["get_weather"]),
        (both, with(among("auto")), vec!["get_time"]),
        ("Hello", with(among("required")), vec!["get_time"]),
        ("Hello", with(one.clone()), vec!["get_time"]),
    ] {
        assert_eq!(called(&world, &token, content, &more).await, expected, "{content} {more}");
    }
    let messages = json!([
        { "role": "user", "content": both },
        { "role": "assistant", "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "get_time", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c", "content": "12:00" },
    ]);
    let after = send(world.chat(&token, &json!({ "messages": messages, "tools": tools() }))).await.json();
    let said = after["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(said.contains("12:00"), "a result is answered in words: {said}");
}

#[tokio::test]
async fn it_answers_in_json_and_markdown_and_as_often_as_asked() {
    let world = World::with(Config { budgets: vec!["user=100000".parse().unwrap()], ..config() }).await;
    let token = world.minted("ada").await;
    let content = async |body: Value| {
        let answer = send(world.chat(&token, &body)).await.json();
        answer["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let object = content(ask("Hi", &json!({ "response_format": { "type": "json_object" } }))).await;
    assert_eq!(serde_json::from_str::<Value>(&object).unwrap()["question"], "Hi");
    let schema =
        json!({ "type": "object", "properties": { "ok": { "type": "boolean" }, "mood": { "enum": ["good", "bad"] } } });
    let format =
        json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "a", "schema": schema } } });
    let filled = content(ask("Hi", &format)).await;
    assert_eq!(serde_json::from_str::<Value>(&filled).unwrap(), json!({ "ok": true, "mood": "good" }));
    assert!(content(ask("Write Markdown", &json!({}))).await.contains("```rust"));
    let stopped = content(ask("Hi", &json!({ "stop": ["conversation", "words"] }))).await;
    assert!(stopped.ends_with("in a ") && !stopped.contains("conversation"), "{stopped}");

    let plain = send(world.chat(&token, &ask("Hi", &json!({ "logprobs": true })))).await.json();
    assert!(plain["choices"][0].get("logprobs").is_none_or(Value::is_null), "there are none: {plain}");
    let made = plain["created"].as_i64().unwrap();
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    assert!((now - 60..=now).contains(&made), "in seconds: {made}");
    for (options, usage) in [(json!({ "include_usage": true }), 1), (json!({ "include_usage": false }), 0)] {
        let body = ask("Hi", &json!({ "stream": true, "stream_options": options }));
        let text = send(world.chat(&token, &body)).await.text;
        assert_eq!(text.matches("\"usage\":{").count(), usage, "{text}");
    }

    let before = world.running.admin().usage().await.unwrap().len();
    let body = ask("Hi", &json!({ "n": 3, "max_tokens": 5 }));
    let three = send(world.chat(&token, &body)).await.json();
    let indices: Vec<_> = three["choices"].as_array().unwrap().iter().map(|choice| choice["index"].clone()).collect();
    assert_eq!(indices, [0, 1, 2]);
    assert_eq!(world.running.admin().usage().await.unwrap()[before].output_tokens, 15);
    let mut body = body;
    body["stream"] = json!(true);
    let text = send(world.chat(&token, &body)).await.text;
    assert_eq!(text.matches("\"finish_reason\":\"length\"").count(), 3, "{text}");
}

#[tokio::test]
async fn one_model_can_be_looked_up() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let model = async |id: &str| send(world.get_gateway(&format!("/v1/models/{id}")).bearer_auth(&token)).await;
    assert_eq!(model("behest-local").await.json()["id"], "behest-local");
    assert_eq!(model("vendor/other").await.refusal(), (404, "not_found".to_owned()));
    let chat = async |model: Value| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
        send(world.chat(&token, &body)).await
    };
    for ours in [json!("behest-local"), json!("default"), json!(""), Value::Null] {
        assert_eq!(chat(ours.clone()).await.status, 200, "{ours}");
    }
    let other = chat(json!("gpt-9")).await;
    assert_eq!(other.refusal(), (400, "validation_error".to_owned()));
    assert!(other.text.contains("gpt-9") && other.text.contains("behest-local"), "{}", other.text);
}
