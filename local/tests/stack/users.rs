//! What a server with the secret key does to users.

use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, World, jwt_part, send};

impl World {
    /// A call of the admin API with this key, as supabase-js makes it.
    async fn admin(&self, key: &str, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("{}/auth/v1/admin{path}", self.running.supabase_url);
        let request = self.http.request(method, url).header("apikey", key).bearer_auth(key).body(body.to_string());
        send(request.header("x-supabase-api-version", "2024-01-01")).await
    }

    /// The secret key, as the dashboard shows it.
    pub(crate) async fn secret_key(&self) -> String {
        let page = send(self.http.get(format!("{}/settings", self.running.dashboard_url()))).await.text;
        let start = page.find("sb_secret_").expect("the dashboard shows the secret key");
        page[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    }
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn users_are_made_listed_changed_and_deleted() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let create = async |email: &str| {
        let body =
            json!({ "email": email, "password": PASSWORD, "email_confirm": true, "user_metadata": { "a": 1, "b": 2 } });
        world.admin(&key, Method::POST, "/users", body).await
    };
    let ada = create("Ada@example.com").await.json();
    assert_eq!((ada["email"].as_str(), &ada["user_metadata"]), (Some("ada@example.com"), &json!({ "a": 1, "b": 2 })));
    assert_eq!(code(&create("ada@example.com").await), (422, "email_exists".to_owned()));
    assert_eq!(code(&create("nonsense").await), (400, "validation_failed".to_owned()));
    assert_eq!(world.sign_in("ada@example.com").await.user, ada["id"].as_str().unwrap());

    create("bob@example.com").await;
    create("eve@example.com").await;
    let page = world.admin(&key, Method::GET, "/users?page=2&per_page=2", Value::Null).await;
    assert_eq!(page.header("x-total-count"), Some("3"));
    assert_eq!(page.header("link"), Some("</admin/users?page=2&per_page=2>; rel=\"last\""));
    assert_eq!(
        (page.json()["users"].as_array().unwrap().len(), &page.json()["users"][0]["email"]),
        (1, &json!("ada@example.com")),
        "the newest come first"
    );

    let all = world.admin(&key, Method::GET, "/users?page=&per_page=", Value::Null).await.json();
    assert_eq!(all["users"].as_array().unwrap().len(), 3, "as supabase for Python asks");
    let wrong = world.admin(&key, Method::GET, "/users?page=two", Value::Null).await;
    assert_eq!(code(&wrong), (400, "validation_failed".to_owned()));

    let path = format!("/users/{}", ada["id"].as_str().unwrap());
    let change = json!({ "email": "ada@new.example", "user_metadata": { "a": null, "c": 3 }, "app_metadata": { "role": "editor" } });
    let changed = world.admin(&key, Method::PUT, &path, change).await.json();
    assert_eq!((&changed["email"], &changed["user_metadata"]), (&json!("ada@new.example"), &json!({ "b": 2, "c": 3 })));
    assert_eq!(
        (&changed["app_metadata"]["role"], &changed["app_metadata"]["provider"]),
        (&json!("editor"), &json!("email"))
    );
    assert_eq!(world.admin(&key, Method::GET, &path, Value::Null).await.json(), changed);

    assert_eq!(world.admin(&key, Method::DELETE, &path, Value::Null).await.status, 200);
    assert_eq!(code(&world.admin(&key, Method::GET, &path, Value::Null).await), (404, "user_not_found".to_owned()));
    assert_eq!(code(&world.admin(&key, Method::DELETE, &path, Value::Null).await), (404, "user_not_found".to_owned()));
}

#[tokio::test]
async fn a_user_is_moved_here_with_id_role_and_password() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let create = async |body: Value| world.admin(&key, Method::POST, "/users", body).await;
    let id = "1b4e28ba-2fa1-4d1e-883f-0016d3cca427";
    // By another Argon2 than this server's.
    let other = Argon2::new(Algorithm::Argon2i, Version::V0x10, Params::new(64, 3, 2, None).unwrap());
    let hash = other.hash_password(PASSWORD.as_bytes()).unwrap().to_string();
    let body = json!({ "id": id, "email": "ada@example.com", "role": "editor", "password_hash": hash });
    let ada = create(body).await.json();
    assert_eq!((&ada["id"], &ada["role"], &ada["aud"]), (&json!(id), &json!("editor"), &json!("authenticated")));
    let signed = world.sign_in("ada@example.com").await;
    assert_eq!((signed.user.as_str(), &jwt_part(&signed.access, 1)["role"]), (id, &json!("editor")));
    let refused = send(world.function().bearer_auth(&signed.access)).await;
    assert_eq!(refused.refusal(), (401, "role_refused".to_owned()), "as in production, unless SESSION_ROLES names it");
    let path = format!("/users/{id}");
    let changed = world.admin(&key, Method::PUT, &path, json!({ "role": "authenticated" })).await;
    assert_eq!(changed.json()["role"], "authenticated");
    let again = world.refresh(&signed.refresh).await.json();
    assert_eq!(jwt_part(again["access_token"].as_str().unwrap(), 1)["role"], "authenticated");
    let none = world.admin(&key, Method::GET, &format!("{path}/factors"), Value::Null).await;
    assert_eq!((none.status.as_u16(), none.json()), (200, json!([])));

    for (body, status, expected) in [
        (json!({ "id": id, "email": "bob@example.com" }), 409, "conflict"),
        (json!({ "id": "bob", "email": "bob@example.com" }), 400, "validation_failed"),
        (json!({ "id": "00000000-0000-0000-0000-000000000000", "email": "bob@example.com" }), 400, "validation_failed"),
        (json!({ "email": "bob@example.com", "password": PASSWORD, "password_hash": hash }), 400, "validation_failed"),
        (json!({ "email": "bob@example.com", "password_hash": "$2b$10$abc" }), 400, "validation_failed"),
        (json!({ "email": "bob@example.com", "password_hash": "$argon2id$v=19" }), 400, "validation_failed"),
    ] {
        assert_eq!(code(&create(body.clone()).await), (status, expected.to_owned()), "{body}");
    }
    assert_eq!(create(json!({ "email": "bob@example.com" })).await.status, 200, "nothing was left of those");
}

#[tokio::test]
async fn a_banned_user_gets_no_session_until_the_ban_is_over() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let ada = world.sign_up("ada@example.com").await;
    let path = format!("/users/{}", ada.user);
    let ban = async |duration: &str| world.admin(&key, Method::PUT, &path, json!({ "ban_duration": duration })).await;
    let sign_in = async || {
        let body = json!({ "email": "ada@example.com", "password": PASSWORD });
        send(world.post_supabase("/auth/v1/token?grant_type=password", &body)).await
    };
    assert_eq!(code(&ban("a while").await), (400, "validation_failed".to_owned()));
    assert_eq!(code(&ban("9999999999h").await), (400, "validation_failed".to_owned()), "longer than Go can say");
    assert!(ban("2h").await.json()["banned_until"].is_string());
    assert_eq!(
        (sign_in().await.status.as_u16(), sign_in().await.json()["error_code"].as_str()),
        (400, Some("user_banned"))
    );
    assert_eq!(world.refresh(&ada.refresh).await.status, 400, "sessions that stood have ended");
    world.running.clock().advance(Duration::from_secs(2 * 3600 + 1));
    assert_eq!(sign_in().await.status, 200);
    ban("24h").await;
    ban("none").await;
    assert_eq!(sign_in().await.status, 200);
}

#[tokio::test]
async fn only_the_secret_key_opens_it() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    for key in [world.running.publishable_key.as_str(), &ada.access] {
        let url = format!("{}/auth/v1/admin/users", world.running.supabase_url);
        let request = world.http.get(url).header("apikey", &world.running.publishable_key).bearer_auth(key);
        let answer = send(request.header("x-supabase-api-version", "2024-01-01")).await;
        assert_eq!(code(&answer), (403, "not_admin".to_owned()));
    }
}

#[tokio::test]
async fn a_server_gets_the_link_that_a_letter_would_hold() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let ask = async |kind: &str, email: &str| {
        world.admin(&key, Method::POST, "/generate_link", json!({ "type": kind, "email": email })).await
    };
    assert_eq!(code(&ask("recovery", "ada@example.com").await), (404, "user_not_found".to_owned()));
    for (kind, email, given) in [
        ("invite", "ada@example.com", "invite"),
        ("recovery", "ada@example.com", "recovery"),
        ("magiclink", "ada@example.com", "magiclink"),
        ("magiclink", "new@example.com", "signup"),
    ] {
        let link = ask(kind, email).await.json();
        assert_eq!(link["verification_type"], given, "{kind} of {email}");
        assert!(link["action_link"].as_str().unwrap().contains(&format!("type={given}")), "{link}");
        let verify = json!({ "type": given, "token_hash": link["hashed_token"] });
        let session = send(world.post_supabase("/auth/v1/verify", &verify)).await;
        assert_eq!((session.status.as_u16(), &session.json()["user"]["id"]), (200, &link["id"]));
    }
    for kind in ["signup", "invite"] {
        assert_eq!(code(&ask(kind, "ada@example.com").await), (422, "email_exists".to_owned()));
    }
    assert_eq!(code(&ask("phone", "ada@example.com").await), (400, "validation_failed".to_owned()));
}

#[tokio::test]
async fn a_link_to_sign_up_keeps_the_password_it_was_made_with() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let ask = async |password: &str| {
        let body =
            json!({ "type": "signup", "email": "ada@example.com", "password": password, "data": { "team": "blue" } });
        world.admin(&key, Method::POST, "/generate_link", body).await
    };
    assert_eq!(code(&ask("short").await), (422, "weak_password".to_owned()));
    let link = ask(PASSWORD).await.json();
    assert_eq!(link["user_metadata"]["team"], "blue");
    assert_eq!(world.sign_in("ada@example.com").await.user, link["id"].as_str().unwrap());
}

#[tokio::test]
async fn a_password_that_an_administrator_sets_ends_every_session() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let ada = world.sign_up("ada@example.com").await;
    let change = async |body: Value| world.admin(&key, Method::PUT, &format!("/users/{}", ada.user), body).await.status;
    assert_eq!(change(json!({ "user_metadata": { "a": 1 } })).await, 200);
    let refreshed = world.refresh(&ada.refresh).await;
    assert_eq!(refreshed.status, 200, "other changes end none");
    assert_eq!(change(json!({ "password": "another horse" })).await, 200);
    let refresh = refreshed.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(world.refresh(&refresh).await.status, 400);
}

#[tokio::test]
async fn an_invited_user_gets_a_letter_and_signs_in_by_it() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let invite = async |key: &str, email: &str| {
        let path = "/auth/v1/invite?redirect_to=http://localhost:5173/welcome";
        let url = format!("{}{path}", world.running.supabase_url);
        let body = json!({ "email": email, "data": { "team": "blue" } }).to_string();
        let request = world.http.post(url).header("apikey", key).bearer_auth(key).body(body);
        send(request.header("x-supabase-api-version", "2024-01-01")).await
    };
    let user = invite(&key, "ada@example.com").await.json();
    assert_eq!((&user["email"], &user["user_metadata"]["team"]), (&json!("ada@example.com"), &json!("blue")));
    assert_eq!(code(&invite(&key, "ada@example.com").await), (422, "email_exists".to_owned()));
    assert_eq!(code(&invite(&key, "nonsense").await), (400, "validation_failed".to_owned()));
    let publishable = world.running.publishable_key.clone();
    assert_eq!(code(&invite(&publishable, "bob@example.com").await), (403, "not_admin".to_owned()));

    let letters = send(world.get_supabase("/_local/mail")).await.json();
    let letter = letters.as_array().unwrap().iter().find(|letter| letter["to"] == "ada@example.com").unwrap();
    assert_eq!(letter["purpose"], "invitation");
    let link = letter["link"].as_str().unwrap();
    assert!(link.contains("type=invite") && link.contains("redirect_to="), "{link}");
    let opened = send(world.http.get(link)).await;
    let place = opened.header("location").unwrap();
    assert!(place.starts_with("http://localhost:5173/welcome#access_token="), "{place}");
}
