//! No key and no token in an error, an answer, a log line or a Debug text.

use std::sync::{Arc, Mutex};

use behest_client::server::{HttpError, Settings, User};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn nothing_secret_is_written_anywhere() {
    let token = session();
    let signature = token.rsplit('.').next().unwrap().to_owned();
    let seen_user = Arc::new(Mutex::new(String::new()));
    let mut answers = String::new();
    let extra = [("SUPABASE_JWT_SECRET", SECRET), ("BEHEST_KEY", ""), ("BEHEST_API_KEY", API_KEY)];
    let settings = Settings::from_lookup(lookup(&extra));
    answers.push_str(&format!("{settings:?}"));
    let world = World::with(&extra, |settings| settings);
    answers.push_str(&format!("{:?}", world.endpoint));
    assert_eq!(world.post(&token).await.status(), 200);

    // A server that repeats what it was sent, as some do in their error texts.
    world.http.on(MINT, |call| {
        let heard = call.headers()["authorization"].to_str().unwrap();
        answer(401, json!({"error": {"code": "bad_key", "message": format!("no such key: {heard}")}}))
    });
    answers.push_str(&format!("{:?}", world.post(&token).await));
    world.http.on(MINT, |_| Err(HttpError::Failed("connection refused".into())));
    answers.push_str(&format!("{:?}", world.post(&token).await));
    world.http.on(PROFILES, |_| answer(500, json!({"message": "x"})));
    answers.push_str(&format!("{:?}", world.post(&token).await));
    answers.push_str(&format!("{:?}", world.post(&format!("{token}x")).await));
    answers.push_str(&format!("{:?}", world.post(API_KEY).await));

    let seen = Arc::clone(&seen_user);
    let world = World::with(&[], move |settings| {
        settings.policy(move |user: User| {
            *seen.lock().unwrap() = format!("{user:?}");
            async { Err(behest_client::Error::new(behest_client::Reason::Forbidden, "no")) }
        })
    });
    answers.push_str(&format!("{:?}", world.post(&token).await));
    let user = seen_user.lock().unwrap().clone();
    assert!(user.contains(USER), "the policy was asked: {user}");
    let log = log::written();
    for said in
        ["BEHEST_API_KEY is deprecated", "Behest did not mint", "no such key", "minted", "refused", "request_id="]
    {
        assert!(log.contains(said), "the log lacks {said}: {log}");
    }
    for (place, text) in [("log", &log), ("answers", &answers), ("user", &user)] {
        for secret in [API_KEY, SECRET, token.as_str(), signature.as_str(), "a@example.com"] {
            assert!(!text.contains(secret), "{place} holds a secret: {text}");
        }
    }
}
