//! Keys that are added, revoked and rotated while the servers run.

use behest_client::server::{Settings, TokenEndpoint};
use behest_local::{Config, TenantKey};
use http::Request;
use serde_json::{Value, json};

use crate::support::{World, config, in_time, jwt_part, jwt_with, send};

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": "Hi" }] })
}

/// A token that this project's own server module signs with the key, for the signed-in user.
async fn signed_locally(world: &World, key: &TenantKey, access: &str) -> String {
    signed_for("behest", world, key, access).await
}

async fn signed_for(audience: &str, world: &World, key: &TenantKey, access: &str) -> String {
    let lookup = |name: &str| {
        Some(match name {
            "BEHEST_AUDIENCE" => audience.to_owned(),
            "SUPABASE_URL" => world.running.supabase_url.clone(),
            "SUPABASE_PUBLISHABLE_KEY" => world.running.publishable_key.clone(),
            "BEHEST_BASE_URL" => world.running.gateway_url.clone(),
            "BEHEST_KEY" => key.key.expose().clone(),
            "BEHEST_KID" => key.kid.clone(),
            "BEHEST_TENANT_ID" => key.tenant_id.clone(),
            "BEHEST_PROJECT_ID" => key.project_id.clone(),
            "CORS_ORIGIN" => crate::support::PAGE.to_owned(),
            _ => return None,
        })
    };
    let endpoint = TokenEndpoint::new(Settings::from_lookup(lookup)).unwrap();
    let request = Request::post("/behest-token").header("authorization", format!("Bearer {access}"));
    let reply = in_time(endpoint.handle(request.body(Default::default()).unwrap())).await;
    let (parts, body) = reply.into_parts();
    assert_eq!(parts.status, 200, "{body:?}");
    let bundle: Value = serde_json::from_slice(&body).unwrap();
    bundle["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_that_signs_itself_is_believed_until_its_key_is_revoked() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let key = world.running.admin().add_signing_key().await.unwrap();
    let token = signed_locally(&world, &key, &ada.access).await;
    assert_eq!(world.counted("mint"), 0, "nothing was asked of the mint");
    let claims = jwt_part(&token, 1);
    assert_eq!((&claims["uid"], &jwt_part(&token, 0)["kid"]), (&json!(ada.user), &json!(key.kid)));
    assert_eq!(send(world.chat(&token, &hello())).await.status, 200);
    assert_eq!(world.running.admin().usage().await.unwrap()[0].user_id, ada.user);

    let forged = jwt_with(&token, 1, |claims| claims["uid"] = json!("bob"));
    assert_eq!(send(world.chat(&forged, &hello())).await.refusal(), (401, "invalid_token".to_owned()));
    let other = World::start().await;
    assert_eq!(send(other.chat(&token, &hello())).await.refusal().0, 401, "another gateway does not know the key");

    let listed = send(world.get_gateway("/.well-known/jwks.json")).await.json();
    assert!(listed["keys"].as_array().unwrap().iter().any(|jwk| jwk["kid"] == key.kid && jwk.get("d").is_none()));
    world.running.admin().revoke_key(&key.kid).await.unwrap();
    assert_eq!(send(world.chat(&token, &hello())).await.refusal(), (401, "invalid_token".to_owned()));
    assert!(world.running.admin().revoke_key(&key.kid).await.is_err(), "once is enough");
}

#[tokio::test]
async fn a_key_of_another_project_is_refused() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let mut key = world.running.admin().add_signing_key().await.unwrap();
    key.project_id = "another-project".into();
    let token = signed_locally(&world, &key, &ada.access).await;
    assert_eq!(send(world.chat(&token, &hello())).await.refusal(), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn a_token_that_a_server_signed_for_others_is_refused() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let key = world.running.admin().add_signing_key().await.unwrap();
    let token = signed_for("somebody-else", &world, &key, &ada.access).await;
    let refused = send(world.chat(&token, &hello())).await;
    assert_eq!(refused.refusal(), (401, "invalid_token".to_owned()));
    assert!(refused.text.contains("audience"), "{}", refused.text);
}

#[tokio::test]
async fn an_added_api_key_mints_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.sqlite");
    let world = World::with(Config { data: Some(file.clone()), ..config() }).await;
    let key = world.running.admin().add_api_key().await.unwrap();
    let mint = async |world: &World| {
        let request = world.post_gateway("/v1/auth/mint", &json!({ "user_id": "ada" }));
        send(request.bearer_auth(key.expose())).await.status.as_u16()
    };
    assert_eq!(mint(&world).await, 200);
    let listed = world.running.admin().keys().await.unwrap();
    assert_eq!((listed[0].kind, listed[0].revoked_at), ("api", None));
    assert!(key.expose().starts_with(&listed[0].id) && listed[0].id.len() < key.expose().len());
    in_time(world.running.stop()).await;
    for name in ["data.sqlite", "data.sqlite-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
        let found = bytes.windows(key.expose().len()).any(|window| window == key.expose().as_bytes());
        assert!(!found, "{name} holds the key itself");
    }
    let world = World::with(Config { data: Some(file), ..config() }).await;
    assert_eq!(mint(&world).await, 200);
    world.running.admin().revoke_key(&listed[0].id).await.unwrap();
    assert_eq!(mint(&world).await, 401);
}

#[tokio::test]
async fn rotated_keys_sign_what_comes_and_honour_what_was() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let before = world.token(&ada).await;
    world.running.admin().rotate_keys().await.unwrap();
    assert_eq!(send(world.chat(&before, &hello())).await.status, 200);
    assert_eq!(send(world.get_supabase("/auth/v1/user").bearer_auth(&ada.access)).await.status, 200);
    let again = world.sign_in("ada@example.com").await;
    assert_ne!(jwt_part(&ada.access, 0)["kid"], jwt_part(&again.access, 0)["kid"]);
    let jwks = send(world.get_supabase("/auth/v1/.well-known/jwks.json")).await.json();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
    assert_eq!(jwks["keys"][0]["kid"], jwt_part(&again.access, 0)["kid"]);
    // The function asks for unknown keys at most every 30 seconds.
    world.running.clock().advance(std::time::Duration::from_secs(31));
    let after = world.token(&again).await;
    assert_ne!(jwt_part(&before, 0)["kid"], jwt_part(&after, 0)["kid"], "the token function follows the rotation");
    assert_eq!(send(world.chat(&after, &hello())).await.status, 200);
}
