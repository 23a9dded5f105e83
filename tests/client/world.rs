//! The scripted world inside a runtime, with code that spawns.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use behest_client::Reason;
use behest_client::client::{Chat, ChatRequest};
use behest_client::testing::{FUNCTION, Reply, World, default_reply};
use futures_util::StreamExt as _;

#[tokio::test]
async fn code_that_spawns_is_driven() {
    let world = World::new();
    let client = world.client();
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                // One task begins another one, which is who asks.
                tokio::spawn(async move { client.ask("Hi!").await }).await.unwrap()
            })
        })
        .collect();
    for asking in asking {
        assert_eq!(world.drive(asking).await.unwrap().unwrap(), "Hello");
    }
    assert_eq!(world.log(|log| (log.mints(), log.chats())), (1, 20));
}

#[tokio::test]
async fn time_passes_at_once_and_no_sooner_than_it_must() {
    let world = World::new();
    world.serve(|request, log| match request.url == FUNCTION {
        true => default_reply(request, log).delayed(Duration::from_secs(5)),
        false if log.chats() == 1 => Reply::json(503, "{}").header("retry-after", "7"),
        false => default_reply(request, log),
    });
    let client = world.client();
    let asking = tokio::spawn(async move { client.ask("Hi!").await });
    assert_eq!(world.drive(asking).await.unwrap().unwrap(), "Hello");
    assert_eq!(world.seconds(), 12.0);

    world.serve(|_, _| Reply::hang());
    let client = world.client().with_timeout(Duration::from_secs(3600));
    let asking = tokio::spawn(async move { client.ask("Hi!").await });
    assert_eq!(world.drive(asking).await.unwrap().unwrap_err().reason(), Reason::Timeout);
}

#[tokio::test]
async fn streams_and_chats_are_driven_too() {
    let world = World::new();
    let client = world.client();
    let text = world.drive(async {
        let mut stream = client.chat_stream(&ChatRequest::user("Hi!")).await.unwrap();
        while let Some(chunk) = stream.next().await {
            chunk.unwrap();
        }
        stream.text().to_owned()
    });
    assert_eq!(text.await, "Hello");

    let told = Arc::new(Mutex::new(0));
    let count = told.clone();
    let chat = Chat::new(&world.client(), move |_| *count.lock().unwrap() += 1);
    assert!(chat.send("Hi!"));
    world.drive(chat.idle()).await;
    assert_eq!((&*chat.state().messages[1].text, *told.lock().unwrap()), ("Hello", 3));
}

#[tokio::test]
async fn what_waits_for_another_task_is_woken_by_it() {
    let world = World::new();
    let (tell, told) = tokio::sync::oneshot::channel();
    let client = world.client();
    let other = std::thread::spawn(move || tell.send("from elsewhere"));
    let (said, answer) = world.drive(async { (told.await.unwrap(), client.ask("Hi!").await.unwrap()) }).await;
    assert_eq!((said, &*answer), ("from elsewhere", "Hello"));
    other.join().unwrap().unwrap();
}
