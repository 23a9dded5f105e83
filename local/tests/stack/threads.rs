//! Conversations that the gateway remembers.

use std::time::Duration;

use behest_local::Config;
use http::Method;
use serde_json::{Value, json};

use crate::support::{PAGE, World, config, events, in_time, send};

fn said(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

async fn say(world: &World, token: &str, thread: &str, body: &Value) -> String {
    let answer = send(world.chat(token, body).header("x-thread-id", thread)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    if body["stream"] == true {
        let chunks: Vec<Value> =
            events(&answer.text).iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
        return chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    }
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_thread_is_begun_continued_listed_read_and_deleted() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let get = async |path: &str| send(world.get_gateway(path).bearer_auth(&token)).await;
    assert_eq!(get("/v1/threads").await.json(), json!([]));

    let first = say(&world, &token, "trip/1 a", &said("Where is Rome?\nAnd why?")).await;
    assert!(first.contains("in a conversation of 1 message."), "{first}");
    let mut streamed = said("And Paris?");
    streamed["stream"] = json!(true);
    let second = say(&world, &token, "trip/1 a", &streamed).await;
    assert!(second.contains("in a conversation of 3 messages."), "the history went to the model: {second}");
    world.running.clock().advance(Duration::from_secs(5));
    say(&world, &token, "other", &said("Hi")).await;

    let threads = get("/v1/threads").await.json();
    let listed: Vec<_> = threads.as_array().unwrap().iter().map(|thread| (&thread["id"], &thread["title"])).collect();
    assert_eq!(listed, [(&json!("other"), &json!("Hi")), (&json!("trip/1 a"), &json!("Where is Rome?"))]);
    let one = get("/v1/threads/trip%2F1%20a").await.json();
    assert_eq!(one, threads[1]);
    assert!(one["last_message_at"].as_str() >= one["created_at"].as_str());

    let messages = get("/v1/threads/trip%2F1%20a/messages").await.json();
    let messages: Vec<_> = messages.as_array().unwrap().iter().map(|m| (&m["role"], &m["content"])).collect();
    let texts = [json!("Where is Rome?\nAnd why?"), json!(first), json!("And Paris?"), json!(second)];
    let roles = [json!("user"), json!("assistant")];
    let expected: Vec<_> = texts.iter().enumerate().map(|(at, text)| (&roles[at % 2], text)).collect();
    assert_eq!(messages, expected);

    let delete = async || {
        let url = format!("{}/v1/threads/other", world.running.gateway_url);
        send(world.http.request(Method::DELETE, url).bearer_auth(&token)).await
    };
    let deleted = delete().await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    assert_eq!(delete().await.refusal(), (404, "not_found".to_owned()));
    for path in ["/v1/threads/other", "/v1/threads/other/messages"] {
        assert_eq!(get(path).await.refusal(), (404, "not_found".to_owned()));
    }
    assert_eq!(get("/v1/threads").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_caller_who_repeats_the_history_does_not_double_it() {
    let world = World::start().await;
    let token = world.minted("ada").await;
    let first = say(&world, &token, "t", &said("One")).await;
    let whole = json!({ "messages": [
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "One" },
        { "role": "assistant", "content": first },
        { "role": "user", "content": "Two" },
    ] });
    let second = say(&world, &token, "t", &whole).await;
    assert!(second.contains("in a conversation of 4 messages."), "{second}");
    let messages = send(world.get_gateway("/v1/threads/t/messages").bearer_auth(&token)).await.json();
    let roles: Vec<_> = messages.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"], "instructions are not stored");
}

#[tokio::test]
async fn threads_are_their_users_own() {
    let world = World::start().await;
    let (ada, bob) = (world.minted("ada").await, world.minted("bob").await);
    say(&world, &ada, "t", &said("A secret")).await;
    let seen = send(world.get_gateway("/v1/threads").bearer_auth(&bob)).await;
    assert_eq!(seen.json(), json!([]));
    let seen = send(world.get_gateway("/v1/threads/t/messages").bearer_auth(&bob)).await;
    assert_eq!(seen.refusal(), (404, "not_found".to_owned()));
    let answer = say(&world, &bob, "t", &said("Mine")).await;
    assert!(answer.contains("in a conversation of 1 message."), "{answer}");
    let bad = send(world.chat(&ada, &said("Hi")).header("x-thread-id", "é")).await;
    assert_eq!(bad.refusal(), (400, "validation_error".to_owned()));
}

#[tokio::test]
async fn an_aborted_answer_is_remembered_as_far_as_it_went() {
    let world = World::with(Config { pace: Duration::from_millis(20), ..config() }).await;
    let token = world.minted("ada").await;
    let mut body = said("Tell me everything.");
    body["stream"] = json!(true);
    let mut answer = in_time(world.chat(&token, &body).header("x-thread-id", "t").send()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("wrote") {
        seen.extend(in_time(answer.chunk()).await.unwrap().unwrap());
    }
    drop(answer);
    world.reached("chat.aborted", 1).await;
    let messages = send(world.get_gateway("/v1/threads/t/messages").bearer_auth(&token)).await.json();
    let said = messages[1]["content"].as_str().unwrap();
    assert!(said.starts_with("You wrote") && !said.contains("OpenAI"), "{said}");
}

#[tokio::test]
async fn a_thread_that_is_deleted_under_a_running_answer_stays_deleted() {
    let world = World::with(Config { pace: Duration::from_millis(20), ..config() }).await;
    let token = world.minted("ada").await;
    say(&world, &token, "t", &said("Hi")).await;
    let mut body = said("Tell me everything.");
    body["stream"] = json!(true);
    let mut answer = in_time(world.chat(&token, &body).header("x-thread-id", "t").send()).await.unwrap();
    in_time(answer.chunk()).await.unwrap().unwrap();
    let url = format!("{}/v1/threads/t", world.running.gateway_url);
    assert_eq!(send(world.http.request(Method::DELETE, url).bearer_auth(&token)).await.status, 204);
    drop(answer);
    world.reached("chat.aborted", 1).await;
    assert_eq!(send(world.get_gateway("/v1/threads").bearer_auth(&token)).await.json(), json!([]));
    say(&world, &token, "t", &said("Again")).await;
    assert_eq!(
        send(world.get_gateway("/v1/threads/t/messages").bearer_auth(&token)).await.json()[0]["content"],
        "Again"
    );
}

#[tokio::test]
async fn threads_are_kept_in_the_data_file_and_open_to_pages() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Config { data: Some(folder.path().join("data.sqlite")), ..config() };
    let world = World::with(settings()).await;
    let token = world.minted("ada").await;
    say(&world, &token, "t", &said("Hi")).await;
    in_time(world.running.stop()).await;
    let world = World::with(settings()).await;
    let seen = send(world.get_gateway("/v1/threads").bearer_auth(&token).header("origin", PAGE)).await;
    assert_eq!(seen.json()[0]["id"], "t");
    assert_eq!(seen.header("access-control-allow-origin"), Some(PAGE));
    let preflight = world.http.request(Method::OPTIONS, format!("{}/v1/threads/t", world.running.gateway_url));
    let preflight = preflight.header("origin", PAGE).header("access-control-request-method", "DELETE");
    let allowed = send(preflight).await;
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("DELETE"));
}
