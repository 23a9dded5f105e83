//! Sign-in by code and through a provider, changes of a user, and the limits on all of them.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use behest_local::Config;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::support::{Answer, PAGE, PASSWORD, World, config, jwt_part, send, signed};

const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters";

/// Status and code of an error of Supabase Auth.
fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.header("x-sb-error-code").unwrap_or_default().to_owned())
}

async fn post(world: &World, path: &str, body: Value) -> Answer {
    send(world.post_supabase(&format!("/auth/v1{path}"), &body)).await
}

async fn put_user(world: &World, access: &str, body: Value) -> Answer {
    let url = format!("{}/auth/v1/user", world.running.supabase_url);
    let request = world.http.put(url).header("apikey", &world.running.publishable_key).bearer_auth(access);
    send(request.body(body.to_string())).await
}

#[tokio::test]
async fn a_code_signs_in_once_and_makes_a_user() {
    let world = World::start().await;
    let sent = post(&world, "/otp", json!({ "email": "Ada@example.com", "data": { "name": "Ada" } })).await;
    assert_eq!((sent.status.as_u16(), sent.text.as_str()), (200, "{}"));
    let letter = world.running.letters().remove(0);
    assert_eq!((letter.to.as_str(), letter.code.len()), ("ada@example.com", 6));
    let verify = async |code: &str| {
        post(&world, "/verify", json!({ "type": "email", "email": "ada@example.com", "token": code })).await
    };
    let wrong = if letter.code == "000000" { "000001" } else { "000000" };
    assert_eq!(refusal(&verify(wrong).await), (403, "otp_expired".to_owned()));
    let answer = verify(&letter.code).await;
    let ada = signed(&answer);
    assert_eq!(answer.json()["user"]["user_metadata"], json!({ "name": "Ada" }));
    assert_eq!(jwt_part(&ada.access, 1)["amr"][0]["method"], "otp");
    assert_eq!(refusal(&verify(&letter.code).await), (403, "otp_expired".to_owned()), "a code is good once");
    assert!(!world.token(&ada).await.is_empty(), "and the session gets a gateway token");

    post(&world, "/recover", json!({ "email": "ada@example.com" })).await;
    let letter = world.running.letters().remove(0);
    assert_eq!(letter.purpose, "recovery");
    assert_eq!(signed(&verify(&letter.code).await).user, ada.user, "the same user");
    post(&world, "/recover", json!({ "email": "nobody@example.com" })).await;
    assert_eq!(world.running.letters().len(), 2, "nobody gets no letter, and the answer does not tell");
    let closed = post(&world, "/otp", json!({ "email": "nobody@example.com", "create_user": false })).await;
    assert_eq!(refusal(&closed), (422, "otp_disabled".to_owned()));
}

/// The parts of a query or fragment.
fn parts(text: Option<&str>) -> std::collections::HashMap<String, String> {
    let url = Url::parse(&format!("http://localhost/?{}", text.unwrap_or_default())).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_letters_link_leads_back_to_the_page_with_a_session() {
    let world = World::start().await;
    let back = format!("{PAGE}/welcome");
    let path = format!("/otp?redirect_to={back}");
    let link = async |more: Value| {
        let mut body = json!({ "email": "ada@example.com" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(post(&world, &path, body).await.status, 200);
        world.running.letters().remove(0)
    };
    let open = async |link: &str| {
        let answer = send(world.http.get(link)).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        Url::parse(answer.header("location").unwrap()).unwrap()
    };
    let letter = link(json!({})).await;
    let page = open(&letter.link).await;
    assert!(page.as_str().starts_with(&format!("{back}#")), "{page}");
    let session = parts(page.fragment());
    assert_eq!((session["type"].as_str(), session["token_type"].as_str()), ("magiclink", "bearer"));
    assert_eq!(jwt_part(&session["access_token"], 1)["email"], "ada@example.com");
    assert_eq!(world.refresh(&session["refresh_token"]).await.status, 200);
    assert_eq!(parts(open(&letter.link).await.fragment())["error_code"], "otp_expired", "a link is good once");

    // A page that wants proof of who began gets a code instead.
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let letter = link(json!({ "code_challenge": challenge, "code_challenge_method": "s256" })).await;
    let page = open(&letter.link).await;
    let proof = json!({ "auth_code": parts(page.query())["code"], "code_verifier": VERIFIER });
    assert_eq!(post(&world, "/token?grant_type=pkce", proof).await.status, 200);

    // Servers exchange the link's hash themselves.
    let letter = link(json!({})).await;
    let hash = json!({ "type": "email", "token_hash": letter.token_hash });
    assert_eq!(post(&world, "/verify", hash.clone()).await.status, 200);
    assert_eq!(refusal(&post(&world, "/verify", hash).await), (403, "otp_expired".to_owned()));
    let both = json!({ "type": "email", "token_hash": "x", "email": "ada@example.com", "token": letter.code });
    assert_eq!(refusal(&post(&world, "/verify", both).await), (400, "validation_failed".to_owned()));

    // And never to a page of somebody else.
    let body = json!({ "email": "ada@example.com" });
    post(&world, "/otp?redirect_to=https://evil.example/", body).await;
    let page = open(&world.running.letters().remove(0).link).await;
    assert_eq!(page.origin().ascii_serialization(), PAGE);
}

#[tokio::test]
async fn a_code_expires_and_cannot_be_guessed() {
    let world = World::start().await;
    let verify = async |code: &str| {
        post(&world, "/verify", json!({ "type": "email", "email": "ada@example.com", "token": code })).await
    };
    post(&world, "/otp", json!({ "email": "ada@example.com" })).await;
    let old = world.running.letters().remove(0);
    world.running.clock().advance(Duration::from_secs(3601));
    assert_eq!(verify(&old.code).await.status, 403);
    post(&world, "/otp", json!({ "email": "ada@example.com" })).await;
    let code = world.running.letters().remove(0).code;
    let wrong = if code == "123456" { "123457" } else { "123456" };
    for _ in 0..10 {
        assert_eq!(verify(wrong).await.status, 403);
    }
    assert_eq!(verify(&code).await.status, 403, "after ten guesses the right one comes too late");
}

fn authorize(world: &World, more: &[(&str, &str)]) -> Url {
    let mut url = Url::parse(&format!("{}/auth/v1/authorize", world.running.supabase_url)).unwrap();
    url.query_pairs_mut().append_pair("provider", "github").extend_pairs(more);
    url
}

/// Fills in the provider's page and gives the address that the browser is sent to.
async fn through_provider(world: &World, more: &[(&str, &str)]) -> Url {
    let mut form = vec![("provider", "github"), ("email", "ada@example.com")];
    form.extend(more);
    let body = Url::parse_with_params("http://localhost", form).unwrap();
    let request = world.http.post(authorize(world, &[])).header("content-type", "application/x-www-form-urlencoded");
    let answer = send(request.body(body.query().unwrap().to_owned())).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    Url::parse(answer.header("location").unwrap()).unwrap()
}

#[tokio::test]
async fn a_provider_signs_in_with_proof_of_who_began() {
    let world = World::start().await;
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let back = format!("{PAGE}/welcome?x=1");
    let more =
        [("redirect_to", back.as_str()), ("code_challenge", challenge.as_str()), ("code_challenge_method", "s256")];
    let page = send(world.http.get(authorize(&world, &more))).await;
    assert!(page.text.contains("Sign in with github") && page.text.contains(&challenge), "{}", page.text);
    let exchange = async |code: &str, verifier: &str| {
        post(&world, "/token?grant_type=pkce", json!({ "auth_code": code, "code_verifier": verifier })).await
    };
    let code = async || {
        let url = through_provider(&world, &more).await;
        assert!(url.as_str().starts_with(&format!("{back}&code=")), "{url}");
        url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    };
    let first = code().await;
    assert_eq!(refusal(&exchange(&first, "another").await), (400, "bad_code_verifier".to_owned()));
    assert_eq!(refusal(&exchange(&first, VERIFIER).await), (404, "flow_state_not_found".to_owned()), "used up");
    let answer = exchange(&code().await, VERIFIER).await;
    let ada = signed(&answer);
    assert_eq!(answer.json()["user"]["app_metadata"]["provider"], "github");
    assert_eq!(jwt_part(&ada.access, 1)["amr"][0]["method"], "oauth");
    assert!(!world.token(&ada).await.is_empty());
    let late = code().await;
    world.running.clock().advance(Duration::from_secs(301));
    assert_eq!(refusal(&exchange(&late, VERIFIER).await), (404, "flow_state_not_found".to_owned()));
}

#[tokio::test]
async fn a_browser_is_sent_back_to_allowed_origins_only() {
    let world = World::start().await;
    let back = through_provider(&world, &[("redirect_to", PAGE)]).await;
    assert!(back.fragment().unwrap().contains("access_token="), "without PKCE the tokens are in the fragment");
    for elsewhere in ["https://evil.example/", "javascript:alert(1)", "//evil.example", ""] {
        let back = through_provider(&world, &[("redirect_to", elsewhere)]).await;
        assert_eq!(back.origin().ascii_serialization(), PAGE, "{elsewhere}");
    }
    let odd = send(world.http.get(authorize(&world, &[("redirect_to", "\"><script>x</script>")]))).await;
    assert!(!odd.text.contains("<script>"), "{}", odd.text);
    assert!(odd.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let none = send(world.http.get(format!("{}/auth/v1/authorize?provider=", world.running.supabase_url))).await;
    assert_eq!(refusal(&none), (400, "validation_failed".to_owned()));
    let app = World::with(Config { allow_origins: vec!["tauri://localhost".to_owned()], ..config() }).await;
    let more = [("redirect_to", "tauri://localhost/back?a=b")];
    let page = send(app.http.get(authorize(&app, &more))).await;
    assert!(page.header("content-security-policy").unwrap().contains("form-action 'self' tauri://localhost;"));
    let back = through_provider(&app, &more).await;
    assert!(back.as_str().starts_with("tauri://localhost/back?a=b#access_token="), "{back}");
}

#[tokio::test]
async fn users_change_themselves() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    world.sign_up("bob@example.com").await;
    let changed = put_user(&world, &ada.access, json!({ "data": { "a": 1, "b": 2 } })).await;
    assert_eq!(changed.json()["user_metadata"], json!({ "a": 1, "b": 2 }));
    let changed = put_user(&world, &ada.access, json!({ "data": { "a": null }, "email": "Eve@example.com" })).await;
    assert_eq!(
        (&changed.json()["user_metadata"], &changed.json()["email"]),
        (&json!({ "b": 2 }), &json!("eve@example.com"))
    );
    for (body, expected) in [
        (json!({ "email": "bob@example.com" }), (422, "email_exists")),
        (json!({ "password": PASSWORD }), (422, "same_password")),
        (json!({ "password": "short" }), (422, "weak_password")),
        (json!({ "app_metadata": { "role": "admin" } }), (403, "not_admin")),
    ] {
        let answer = put_user(&world, &ada.access, body).await;
        assert_eq!(refusal(&answer), (expected.0, expected.1.to_owned()), "{}", answer.text);
    }
    assert_eq!(put_user(&world, &ada.access, json!({ "password": "new horse" })).await.status, 200);
    let old =
        post(&world, "/token?grant_type=password", json!({ "email": "eve@example.com", "password": PASSWORD })).await;
    assert_eq!(refusal(&old), (400, "invalid_credentials".to_owned()));
    let new = json!({ "email": "eve@example.com", "password": "new horse" });
    assert_eq!(signed(&post(&world, "/token?grant_type=password", new).await).user, ada.user);
    assert_eq!(refusal(&put_user(&world, "x", json!({})).await), (403, "bad_jwt".to_owned()));
}

#[tokio::test]
async fn a_new_password_ends_what_the_former_one_let_in() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let thief = world.sign_in("ada@example.com").await;
    post(&world, "/recover", json!({ "email": "ada@example.com" })).await;
    let code = world.running.letters()[0].code.clone();
    world.sign_up("bob@example.com").await;
    let taken = json!({ "password": "new horse", "email": "bob@example.com" });
    assert_eq!(refusal(&put_user(&world, &ada.access, taken).await), (422, "email_exists".to_owned()));
    assert_eq!(put_user(&world, &thief.access, json!({})).await.status, 200, "what was refused ends nothing");
    assert_eq!(put_user(&world, &ada.access, json!({ "password": "new horse" })).await.status, 200);
    assert_eq!(put_user(&world, &ada.access, json!({})).await.status, 200, "one's own session stands");
    assert_eq!(refusal(&put_user(&world, &thief.access, json!({})).await), (403, "session_not_found".to_owned()));
    assert_eq!(refusal(&world.refresh(&thief.refresh).await), (400, "refresh_token_not_found".to_owned()));
    let letter = json!({ "type": "recovery", "email": "ada@example.com", "token": code });
    assert_eq!(refusal(&post(&world, "/verify", letter).await), (403, "otp_expired".to_owned()));
}

#[tokio::test]
async fn what_is_null_is_left_out_as_clients_in_other_languages_send_it() {
    let world = World::start().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "phone": null, "data": null, "code_challenge": null });
    let ada = signed(&post(&world, "/signup", body).await);
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "phone": null, "gotrue_meta_security": { "captcha_token": null } });
    assert_eq!(signed(&post(&world, "/token?grant_type=password", body).await).user, ada.user);
    let body = json!({ "email": null, "password": null, "data": { "a": 1 }, "nonce": null });
    assert_eq!(put_user(&world, &ada.access, body).await.json()["user_metadata"], json!({ "a": 1 }));
    assert_eq!(
        post(&world, "/otp", json!({ "email": "ada@example.com", "phone": null, "data": null })).await.status,
        200
    );
    for body in [json!([]), json!(null), json!(["a@b.example", "", PASSWORD, null])] {
        assert_eq!(refusal(&post(&world, "/signup", body).await), (400, "bad_json".to_owned()), "no object");
    }
}

#[tokio::test]
async fn an_address_makes_an_anonymous_user_permanent() {
    let world = World::start().await;
    let guest = signed(&post(&world, "/signup", json!({})).await);
    let nobodys = put_user(&world, &guest.access, json!({ "password": PASSWORD })).await;
    assert_eq!(refusal(&nobodys), (422, "validation_failed".to_owned()), "a password without an address opens nothing");
    let changed = put_user(&world, &guest.access, json!({ "email": "ada@example.com", "password": PASSWORD })).await;
    assert_eq!((&changed.json()["is_anonymous"], &changed.json()["id"]), (&json!(false), &json!(guest.user)));
    assert_eq!(world.sign_in("ada@example.com").await.user, guest.user);
}

/// Programs that look where a letter's links lead ask for the head alone.
#[tokio::test]
async fn a_link_that_is_only_looked_at_stays_good() {
    let world = World::start().await;
    post(&world, &format!("/otp?redirect_to={PAGE}"), json!({ "email": "ada@example.com" })).await;
    let link = world.running.letters().remove(0).link;
    assert_eq!(refusal(&send(world.http.head(&link)).await), (405, "method_not_allowed".to_owned()));
    let opened = send(world.http.get(&link)).await;
    assert!(opened.header("location").unwrap().contains("access_token="), "{opened:?}");
}

#[tokio::test]
async fn what_is_missing_is_refused_as_a_project_that_has_it_switched_off() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    for (method, path, status, code) in [
        (Method::GET, "/user/identities/authorize?provider=google", 404, "manual_linking_disabled"),
        (Method::DELETE, "/user/identities/1", 404, "manual_linking_disabled"),
        (Method::POST, "/factors", 422, "mfa_totp_enroll_not_enabled"),
        (Method::POST, "/factors/1/verify", 404, "mfa_factor_not_found"),
        (Method::POST, "/sso", 404, "saml_provider_disabled"),
        (Method::POST, "/token?grant_type=id_token", 400, "provider_disabled"),
        (Method::POST, "/token?grant_type=web3", 422, "web3_provider_disabled"),
        (Method::POST, "/token?grant_type=other", 400, "invalid_credentials"),
        (Method::POST, "/resend", 422, "phone_provider_disabled"),
        (Method::POST, "/verify", 403, "otp_expired"),
        (Method::GET, "/reauthenticate", 404, "not_found"),
    ] {
        let url = format!("{}/auth/v1{path}", world.running.supabase_url);
        let request = world.http.request(method, url).header("apikey", &world.running.publishable_key);
        let body = json!({ "type": "sms", "phone": "+491234567", "token": "123456" }).to_string();
        let answer = send(request.bearer_auth(&ada.access).body(body)).await;
        assert_eq!(refusal(&answer), (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn the_limits_of_supabase_auth_are_enforced_when_asked_for() {
    let world = World::with(Config { auth_limits: true, ..config() }).await;
    let refresh = async || refusal(&world.refresh("nonsense").await);
    for _ in 0..30 {
        assert_eq!(refresh().await.0, 400);
    }
    let refused = world.refresh("nonsense").await;
    assert_eq!(refusal(&refused), (429, "over_request_rate_limit".to_owned()));
    assert_eq!(refused.header("retry-after"), None, "as Supabase Auth, which does not say when");
    world.running.clock().advance(Duration::from_secs(2));
    assert_eq!(refresh().await.0, 400);

    let otp = async || refusal(&post(&world, "/otp", json!({ "email": "ada@example.com" })).await);
    assert_eq!(otp().await.0, 200);
    assert_eq!(otp().await, (429, "over_email_send_rate_limit".to_owned()));
    world.running.clock().advance(Duration::from_secs(60));
    assert_eq!(otp().await.0, 200);
}
