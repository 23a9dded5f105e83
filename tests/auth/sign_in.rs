//! Every way in, and out.

use std::sync::{Arc, Mutex};

use behest_client::auth::{
    AuthEvent, AuthOptions, AuthSession, MemoryStorage, Scope, SignUp, Storage, StorageError, Supabase, UserChanges,
    VerifyType,
};
use behest_client::testing::{Reply, header};
use behest_client::{Action, Reason};
use serde_json::{Value, json};

use crate::server::{KEY, Server, refusal};
use crate::test;

type Told = Arc<Mutex<Vec<String>>>;

/// What a listener is told, as `event user`.
fn listen(supabase: &Supabase) -> (Told, behest_client::auth::Subscription) {
    let told = Told::default();
    let list = told.clone();
    let subscription = supabase.on_change(move |event: AuthEvent, session: Option<&AuthSession>| {
        let user = session.map_or("nobody", |session| session.user().id.as_str());
        list.lock().unwrap().push(format!("{event} {user}"));
    });
    (told, subscription)
}

fn told(told: &Told) -> Vec<String> {
    std::mem::take(&mut told.lock().unwrap())
}

#[test]
fn nobody_is_signed_in_at_first_and_nothing_is_sent() {
    let server = Server::new();
    let supabase = server.page();
    assert_eq!(server.world.run(supabase.session()).unwrap(), None);
    assert_eq!(server.world.run(supabase.refresh()).unwrap_err().reason(), Reason::SignedOut);
    assert_eq!(server.world.run(supabase.user()).unwrap_err().reason(), Reason::SignedOut);
    server.world.run(supabase.sign_out(Scope::Global)).unwrap();
    server.world.log(|log| assert_eq!(log.requests.len(), 0));
}

#[test]
fn every_way_in_stores_a_session() {
    let options = AuthOptions::new().redirect_to("https://a.b/");
    for way in 0..5 {
        let server = Server::new();
        let storage = MemoryStorage::new();
        let supabase = server.tab(&storage).with_options(options.clone());
        let (events, _subscription) = listen(&supabase);
        let session = server.world.run(async {
            match way {
                0 => supabase.sign_in_with_password(" ada@example.com ", "correct horse").await,
                1 => supabase.sign_in_anonymously().await,
                2 => supabase.verify_code("ada@example.com", " 123456 ", VerifyType::Email).await,
                3 => supabase.verify_token_hash("hash", VerifyType::Recovery).await,
                _ => Ok(supabase.sign_up("ada@example.com", "correct horse").await?.session().unwrap().clone()),
            }
        });
        let session = session.unwrap();
        assert_eq!(session.user().email.as_deref(), Some("ada@example.com"));
        let signed_in = if way == 3 { "PASSWORD_RECOVERY user-1" } else { "SIGNED_IN user-1" };
        assert_eq!(told(&events), ["INITIAL_SESSION nobody", signed_in]);
        let stored: Value = serde_json::from_str(&storage.get(KEY).unwrap().unwrap()).unwrap();
        assert_eq!(stored["refresh_token"], json!(session.refresh_token().expose()));
        assert_eq!(stored["user"]["id"], "user-1");
        assert_eq!(server.world.run(supabase.session()).unwrap(), Some(session));
    }
}

#[test]
fn a_refusal_says_what_to_do_and_shows_no_password() {
    let server = Server::new();
    let supabase = server.page();
    let error = server.world.run(supabase.sign_in_with_password("ada@example.com", "wrong horse")).unwrap_err();
    assert_eq!(
        (error.reason(), error.action(), error.code()),
        (Reason::SessionRefused, Action::SignIn, Some("invalid_credentials"))
    );
    assert_eq!(error.hint(), "Check the address and the password.");
    assert!(supabase.peek().is_none());
    server.fault("/signup", refusal(422, "weak_password"));
    let error = server.world.run(supabase.sign_up("ada@example.com", "1")).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidRequest);
    for (reply, reason) in [
        (Reply::refused("connection refused"), Reason::Network),
        (Reply::hang(), Reason::Timeout),
        (Reply::json(200, "{}"), Reason::InvalidResponse),
        (Reply::bytes(200, "text/html", [b"<html>".to_vec()]), Reason::InvalidResponse),
        (Reply::bytes(200, "", [vec![b' '; 2 << 20]]), Reason::InvalidResponse),
        (refusal(429, "over_request_rate_limit"), Reason::RateLimited),
        (Reply::json(401, r#"{"message":"Invalid API key"}"#), Reason::InvalidApiKey),
    ] {
        server.fault("/token", reply);
        let error = server.world.run(supabase.sign_in_with_password("ada@example.com", "correct horse")).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
    }
}

#[test]
fn an_address_may_have_to_be_confirmed_first() {
    let server = Server::new();
    let supabase = server.page();
    server.fault("/signup", Reply::json(200, r#"{"id":"user-9","email":"new@example.com","identities":[]}"#));
    let SignUp::ConfirmationSent(user) = server.world.run(supabase.sign_up("new@example.com", "pw")).unwrap() else {
        panic!("nobody is signed in yet")
    };
    assert_eq!(user.id, "user-9");
    assert!(supabase.peek().is_none());
}

#[test]
fn of_two_codes_that_change_an_address_the_first_one_says_so() {
    let server = Server::new();
    let supabase = server.signed_in();
    let before = supabase.peek();
    let accepted =
        r#"{"msg":"Confirmation link accepted. Please proceed to confirm link sent to the other email","code":200}"#;
    server.faults("/verify", &Reply::json(200, accepted), 2);
    for by_hash in [false, true] {
        let error = server.world.run(async {
            match by_hash {
                false => supabase.verify_code("new@example.com", "123456", VerifyType::EmailChange).await,
                true => supabase.verify_token_hash("hash", VerifyType::EmailChange).await,
            }
        });
        let error = error.unwrap_err();
        assert_eq!(error.reason(), Reason::SessionRefused, "{error}");
        assert!(error.hint().contains("other address"), "{error}");
    }
    assert_eq!(supabase.peek(), before, "still signed in");
    server.world.run(supabase.verify_code("ada@example.com", "654321", VerifyType::EmailChange)).unwrap();
}

#[test]
fn a_page_of_the_network_sends_no_letters() {
    let server = Server::new();
    let supabase = server.page();
    let page = Reply::bytes(200, "text/html", [b"<html>Pay first.".to_vec()]);
    server.fault("/otp", page.clone());
    let error = server.world.run(supabase.send_code("ada@example.com")).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidResponse, "{error}");
    server.fault("/recover", page);
    let error = server.world.run(supabase.send_password_recovery("ada@example.com")).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidResponse, "{error}");
}

#[test]
fn a_new_address_is_confirmed_where_it_was_given() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.run(supabase.update_user(UserChanges::new().email("new@example.com"))).unwrap();
    let sent: Value = serde_json::from_str(server.last().body.as_deref().unwrap()).unwrap();
    assert_eq!(sent["code_challenge_method"], "s256");
    // The letter's link leads back with a code.
    server.world.run(supabase.returned("https://a.b/?code=c")).unwrap().unwrap();
    assert_eq!(server.verifier().len(), 43);
}

#[test]
fn asking_who_the_user_is_changes_nothing() {
    let server = Server::new();
    let supabase = server.signed_in();
    let before = supabase.peek();
    let (events, _subscription) = listen(&supabase);
    server.fault("/user", Reply::json(200, r#"{"id":"user-1","seen_at":"now"}"#));
    server.world.run(supabase.user()).unwrap();
    assert_eq!(told(&events), ["INITIAL_SESSION user-1"], "a listener that asks would be told for ever");
    assert_eq!(supabase.peek(), before);
}

#[test]
fn a_provider_leads_back_with_a_code() {
    let server = Server::new();
    let storage = MemoryStorage::new();
    let supabase = server.tab(&storage).with_options(AuthOptions::new().redirect_to("https://a.b/"));
    let url = supabase.sign_in_url("github");
    assert!(
        url.starts_with("https://project.example/auth/v1/authorize?provider=github&redirect_to=https%3A%2F%2Fa.b%2F&")
    );
    // The page is loaded anew: all that is left is the storage.
    let supabase = server.tab(&storage);
    assert_eq!(server.world.run(supabase.returned("https://a.b/?q=1")).unwrap(), None);
    let session = server.world.run(supabase.returned("https://a.b/?code=c-1")).unwrap().unwrap();
    assert_eq!(session.user().id, "user-1");
    let stored: Value = serde_json::from_str(server.last().body.as_deref().unwrap()).unwrap();
    assert_eq!(stored, json!({ "auth_code": "c-1", "code_verifier": server.verifier() }));
    assert_eq!(server.verifier().len(), 43);
    // A verifier is good for one code.
    let error = server.world.run(supabase.returned("https://a.b/?code=c-2")).unwrap_err();
    assert_eq!(error.reason(), Reason::SessionRefused);
    assert!(error.message().contains("another browser"), "{error}");
}

#[test]
fn what_a_provider_refuses_is_told() {
    let server = Server::new();
    let supabase = server.page();
    let url = "https://a.b/#error=access_denied&error_code=otp_expired&error_description=Email+link+is+invalid";
    let error = server.world.run(supabase.returned(url)).unwrap_err();
    assert_eq!((error.reason(), error.code()), (Reason::SessionRefused, Some("otp_expired")));
    assert!(error.message().ends_with("Email link is invalid") && error.hint().contains("new code"), "{error}");
    assert_eq!(server.world.run(supabase.returned("https://a.b/?error=mine")).unwrap(), None, "not ours");
    // Supabase names an `error` for some statuses only.
    let url = "https://a.b/?error_code=over_request_rate_limit&error_description=Slower";
    let error = server.world.run(supabase.returned(url)).unwrap_err();
    assert_eq!((error.reason(), error.code()), (Reason::SessionRefused, Some("over_request_rate_limit")));
}

#[test]
fn a_forgotten_password_comes_back_as_what_it_is() {
    let server = Server::new();
    let supabase = server.page();
    let (events, _subscription) = listen(&supabase);
    server.world.run(supabase.send_password_recovery("ada@example.com")).unwrap();
    server.world.run(supabase.returned("https://a.b/?code=c")).unwrap().unwrap();
    assert_eq!(told(&events), ["INITIAL_SESSION nobody", "PASSWORD_RECOVERY user-1"]);
    assert!(!server.verifier().contains('/'));
}

#[test]
fn the_user_can_be_changed() {
    let server = Server::new();
    let supabase = server.signed_in();
    let (events, _subscription) = listen(&supabase);
    let user = server.world.run(supabase.update_user(UserChanges::new().data(json!({ "name": "Ada" })))).unwrap();
    #[derive(serde::Deserialize)]
    struct Whole {
        user_metadata: Value,
    }
    assert_eq!(user.parse_as::<Whole>().unwrap().user_metadata, json!({ "name": "Ada" }));
    assert_eq!(user.parse_as::<Vec<u8>>().unwrap_err().reason(), Reason::InvalidResponse);
    assert_eq!(told(&events), ["INITIAL_SESSION user-1", "USER_UPDATED user-1"]);
    assert_eq!(supabase.peek().unwrap().user(), &user);
    assert_eq!(server.last().method, "PUT");
    let bearer = format!("Bearer {}", supabase.peek().unwrap().access_token().expose());
    assert_eq!(header(&server.last(), "authorization"), Some(bearer.as_str()));
}

#[test]
fn a_session_that_ended_elsewhere_ends_here() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.fault("/user", refusal(403, "session_not_found"));
    let error = server.world.run(supabase.user()).unwrap_err();
    assert_eq!((error.reason(), error.action()), (Reason::SessionRevoked, Action::SignIn));
    assert!(supabase.peek().is_none());
}

#[test]
fn an_access_token_that_is_not_accepted_is_no_end() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.fault("/user", refusal(403, "bad_jwt"));
    let error = server.world.run(supabase.user()).unwrap_err();
    assert_eq!(error.reason(), Reason::TokenExpired);
    assert!(error.hint().contains("Refresh"), "{error}");
    server.world.run(supabase.refresh()).unwrap();
    server.world.run(supabase.user()).unwrap();
}

#[test]
fn signing_out_always_signs_out_here() {
    for (scope, fault, result, stays) in [
        (Scope::Global, None, Ok(()), false),
        (Scope::Local, None, Ok(()), false),
        (Scope::Others, None, Ok(()), true),
        (Scope::Global, Some(refusal(403, "session_not_found")), Ok(()), false),
        (Scope::Global, Some(Reply::refused("offline")), Err(Reason::Network), false),
        (Scope::Global, Some(Reply::hang()), Err(Reason::Timeout), false),
        (Scope::Local, Some(Reply::refused("offline")), Ok(()), false),
        (Scope::Local, Some(refusal(500, "unexpected_failure")), Ok(()), false),
        (Scope::Others, Some(Reply::refused("offline")), Err(Reason::Network), true),
    ] {
        let server = Server::new();
        let supabase = server.signed_in();
        let (events, _subscription) = listen(&supabase);
        if let Some(reply) = fault {
            server.fault("/logout", reply);
        }
        let signed_out = server.world.run(supabase.sign_out(scope)).map_err(|error| error.reason());
        assert_eq!(signed_out, result, "{scope:?}");
        assert_eq!(supabase.peek().is_some(), stays, "{scope:?}");
        let expected: &[&str] = if stays { &[] } else { &["SIGNED_OUT nobody"] };
        assert_eq!(told(&events)[1..], *expected, "{scope:?}");
        assert!(server.last().url.ends_with(&format!("scope={}", scope.as_str())));
    }
}

#[test]
fn a_dropped_listener_is_told_nothing_and_one_may_call_back() {
    let server = Server::new();
    let supabase = server.page();
    let (events, subscription) = listen(&supabase);
    drop(subscription);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (list, again) = (seen.clone(), supabase.clone());
    let _stays = supabase.on_change(move |event, _| list.lock().unwrap().push((event, again.peek().is_some())));
    server.world.run(supabase.sign_in_anonymously()).unwrap();
    assert_eq!(told(&events), ["INITIAL_SESSION nobody"]);
    assert_eq!(*seen.lock().unwrap(), [(AuthEvent::InitialSession, false), (AuthEvent::SignedIn, true)]);
}

#[test]
fn what_changes_while_a_listener_is_told_of_the_beginning_is_told_it_too() {
    let server = Server::new();
    let supabase = server.page();
    let told = Told::default();
    let (list, again, world) = (told.clone(), supabase.clone(), server.world.clone());
    let _stays = supabase.on_change(move |event, session| {
        list.lock().unwrap().push(format!("{event} {}", session.is_some()));
        if event == AuthEvent::InitialSession {
            world.run(again.sign_in_anonymously()).unwrap();
        }
    });
    server.world.run(supabase.sign_out(Scope::Local)).unwrap();
    assert_eq!(*told.lock().unwrap(), ["INITIAL_SESSION false", "SIGNED_IN true", "SIGNED_OUT false"]);
}

/// A storage that can only be read, and holds nothing.
struct Full;

impl Storage for Full {
    fn get(&self, _name: &str) -> Result<Option<String>, StorageError> {
        Ok(None)
    }

    fn set(&self, _name: &str, _value: &str) -> Result<(), StorageError> {
        Err("QuotaExceededError".into())
    }

    fn remove(&self, _name: &str) -> Result<(), StorageError> {
        Ok(())
    }
}

#[test]
fn a_full_storage_signs_nobody_out() {
    let server = Server::new();
    let supabase = server.builder().storage(Full).build().unwrap();
    server.world.run(supabase.sign_in_anonymously()).unwrap();
    for _ in 0..3 {
        server.world.pass(3600);
        assert!(server.world.run(supabase.session()).unwrap().is_some());
    }
    assert_eq!(server.renewals(), 3);
}

#[test]
fn what_is_not_set_up_right_is_said_at_once() {
    let error = Supabase::new("abc.supabase.co", "sb_secret_abc").unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidConfig);
    assert!(error.message().contains("URL") && error.message().contains("secret"), "{error}");
    assert!(Supabase::new("https://abc.supabase.co/", "").is_err());
    assert_eq!(Supabase::new("https://abc.supabase.co/", "k").unwrap().url(), "https://abc.supabase.co");
}

#[test]
fn a_code_that_brought_no_answer_may_be_sent_again() {
    for (reply, is_again) in [
        (Reply::refused("offline"), true),
        (refusal(503, "unexpected_failure"), true),
        (Reply::hang(), true),
        (refusal(400, "bad_code_verifier"), false),
    ] {
        let server = Server::new();
        let supabase = server.page();
        supabase.sign_in_url("github");
        server.fault("pkce", reply);
        let back = "https://example.com/?code=abc";
        assert!(server.world.run(supabase.returned(back)).is_err());
        let again = server.world.run(supabase.returned(back));
        assert_eq!(again.is_ok(), is_again, "{again:?}");
        // Once it was taken or refused, the verifier is of no use to anybody.
        assert!(server.world.run(supabase.returned(back)).unwrap_err().message().contains("another browser"));
    }
}
