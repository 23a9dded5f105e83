//! The page with behest-client.

use behest_client::Secret;
use behest_client::client::{ChatRequest, Client};
use futures_util::StreamExt as _;
use leptos::prelude::{Update as _, WriteSignal};
use leptos_page::{BEHEST_URL, SUPABASE_URL, access_token};

fn main() {
    let client = Client::builder(BEHEST_URL)
        .function(SUPABASE_URL, "behest-token")
        .session(|| async { Ok(access_token().map(Secret::from)) })
        .build();
    leptos_page::mount(move |question, text| {
        let client = client.clone();
        async move { answer(client.map_err(|error| error.to_string())?, question, text).await }
    });
}

async fn answer(client: Client, question: String, text: WriteSignal<String>) -> Result<(), String> {
    let mut stream = client.chat_stream(&ChatRequest::user(question)).await.map_err(|error| error.to_string())?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| error.to_string())?;
        text.update(|text| text.push_str(chunk.text()));
    }
    Ok(())
}
