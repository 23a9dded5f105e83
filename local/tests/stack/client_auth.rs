//! This project's own sign-in, one by one what supabase-js can do here.

use std::time::Duration;

use behest_client::auth::{AuthOptions, AuthSession, MemoryStorage, Scope, SignUp, Supabase, UserChanges, VerifyType};
use behest_client::client::{Client, UsageQuery};
use behest_client::{Action, Error, Reason};
use behest_local::Config;
use futures_util::future::join_all;
use reqwest::Url;
use serde_json::{Value, json};

use crate::support::{PAGE, PASSWORD, World, config, in_time};

const ADA: &str = "ada@example.com";

fn tab(world: &World, storage: &MemoryStorage) -> Supabase {
    let running = &world.running;
    Supabase::builder(&running.supabase_url, &running.publishable_key).storage(storage.clone()).build().unwrap()
}

fn page(world: &World) -> Supabase {
    tab(world, &MemoryStorage::new())
}

async fn signed_up(world: &World) -> (Supabase, AuthSession) {
    let supabase = page(world);
    let SignUp::SignedIn(session) = in_time(supabase.sign_up(ADA, PASSWORD)).await.unwrap() else {
        panic!("sign-ups are confirmed at once here")
    };
    (supabase, session)
}

fn words(error: &Error) -> (Option<u16>, &str, Action) {
    (error.status(), error.code().unwrap_or_default(), error.action())
}

#[tokio::test]
async fn from_sign_up_to_the_usage_row() {
    let world = World::start().await;
    let (supabase, session) = signed_up(&world).await;
    let client = Client::builder(&world.running.gateway_url).supabase(&supabase, "behest-token").build().unwrap();
    assert!(!in_time(client.ask("Hi!")).await.unwrap().is_empty());
    let usage: Value = in_time(client.usage(&UsageQuery::new())).await.unwrap().parse().unwrap();
    assert_eq!(usage["user_id"], session.user().id);
    in_time(supabase.sign_out(Scope::Global)).await.unwrap();
    assert_eq!(in_time(client.ask("Hi!")).await.unwrap_err().reason(), Reason::SignedOut);
}

#[tokio::test]
async fn passwords() {
    let world = World::start().await;
    let (_, session) = signed_up(&world).await;
    let supabase = page(&world);
    let refused = in_time(supabase.sign_in_with_password(ADA, "wrong horse")).await.unwrap_err();
    assert_eq!(words(&refused), (Some(400), "invalid_credentials", Action::SignIn));
    let again = in_time(supabase.sign_in_with_password(ADA, PASSWORD)).await.unwrap();
    assert_eq!(again.user().id, session.user().id);
    let taken = in_time(supabase.sign_up(ADA, PASSWORD)).await.unwrap_err();
    assert_eq!(words(&taken), (Some(422), "user_already_exists", Action::FixConfig));
    let weak = in_time(supabase.sign_up("bob@example.com", "short")).await.unwrap_err();
    assert_eq!(words(&weak), (Some(422), "weak_password", Action::FixConfig));
    let telephone = in_time(supabase.sign_in_with_password("+491701234567", PASSWORD)).await.unwrap_err();
    assert_eq!(telephone.code(), Some("phone_provider_disabled"));
}

#[tokio::test]
async fn anonymous_users_become_permanent() {
    let world = World::start().await;
    let supabase = page(&world).with_options(AuthOptions::new().data(json!({ "name": "Ada" })));
    let session = in_time(supabase.sign_in_anonymously()).await.unwrap();
    assert!(session.user().is_anonymous && session.user().email.is_none());
    let changes = UserChanges::new().email(ADA).password(PASSWORD).data(json!({ "name": null, "colour": "green" }));
    let user = in_time(supabase.update_user(changes)).await.unwrap();
    assert_eq!((user.id.as_str(), user.email.as_deref()), (session.user().id.as_str(), Some(ADA)));
    assert_eq!(supabase.peek().unwrap().user(), &user);
    assert_eq!(user.parse_as::<Value>().unwrap()["user_metadata"], json!({ "colour": "green" }));
    let same = in_time(supabase.update_user(UserChanges::new().password(PASSWORD))).await.unwrap_err();
    assert_eq!(same.code(), Some("same_password"));
    assert!(in_time(page(&world).sign_in_with_password(ADA, PASSWORD)).await.is_ok());
}

#[tokio::test]
async fn codes_and_links() {
    let world = World::start().await;
    let storage = MemoryStorage::new();
    let supabase = tab(&world, &storage).with_options(AuthOptions::new().redirect_to(format!("{PAGE}/welcome")));
    let letter = async || {
        in_time(supabase.send_code(ADA)).await.unwrap();
        world.running.letters().remove(0)
    };
    let wrong = in_time(supabase.verify_code(ADA, "abcdef", VerifyType::Email)).await.unwrap_err();
    assert_eq!(words(&wrong), (Some(403), "otp_expired", Action::SignIn));
    let code = letter().await.code;
    let by_code = in_time(supabase.verify_code(ADA, &code, VerifyType::Email)).await.unwrap();
    let hash = letter().await.token_hash;
    let by_hash = in_time(supabase.verify_token_hash(&hash, VerifyType::MagicLink)).await.unwrap();
    assert_eq!(by_hash.user().id, by_code.user().id);

    // The link, opened in the same browser, and in another one.
    let open = async |link: &str| {
        let answer = in_time(world.http.get(link).send()).await.unwrap();
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    let back = open(&letter().await.link).await;
    assert!(back.starts_with(&format!("{PAGE}/welcome?code=")), "{back}");
    let elsewhere = in_time(page(&world).returned(&back)).await.unwrap_err();
    assert_eq!(elsewhere.reason(), Reason::SessionRefused);
    let by_link = in_time(tab(&world, &storage).returned(&back)).await.unwrap().unwrap();
    assert_eq!(by_link.user().id, by_code.user().id);
    let used = open(&world.running.letters().remove(0).link).await;
    assert_eq!(in_time(supabase.returned(&used)).await.unwrap_err().code(), Some("otp_expired"));

    let nobody = supabase.with_options(AuthOptions::new().create_user(false));
    let closed = in_time(nobody.send_code("nobody@example.com")).await.unwrap_err();
    assert_eq!(closed.code(), Some("otp_disabled"));

    in_time(supabase.send_password_recovery(ADA)).await.unwrap();
    let hash = world.running.letters().remove(0).token_hash;
    in_time(supabase.verify_token_hash(&hash, VerifyType::Recovery)).await.unwrap();
    in_time(supabase.update_user(UserChanges::new().password("another horse"))).await.unwrap();
    assert!(in_time(page(&world).sign_in_with_password(ADA, "another horse")).await.is_ok());
}

#[tokio::test]
async fn a_provider() {
    let world = World::start().await;
    let supabase = page(&world).with_options(AuthOptions::new().redirect_to(format!("{PAGE}/")));
    let url = Url::parse(&supabase.sign_in_url("github")).unwrap();
    // The provider's page sends its form with what it was opened with.
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut form = Url::parse("http://localhost").unwrap();
    form.query_pairs_mut().extend_pairs(pairs).append_pair("email", ADA);
    let body = form.query().unwrap().to_owned();
    let form = world.http.post(format!("{}/auth/v1/authorize", world.running.supabase_url));
    let form = form.header("content-type", "application/x-www-form-urlencoded").body(body);
    let back = in_time(form.send()).await.unwrap().headers()["location"].to_str().unwrap().to_owned();
    let session = in_time(supabase.returned(&back)).await.unwrap().unwrap();
    assert_eq!(session.user().email.as_deref(), Some(ADA));
    assert!(session.provider_token().is_some());
    assert!(in_time(supabase.returned(&back)).await.is_err(), "a code is good once");
}

#[tokio::test]
async fn sign_outs_end_what_they_say() {
    let world = World::start().await;
    for (scope, here, other) in
        [(Scope::Global, false, false), (Scope::Local, false, true), (Scope::Others, true, false)]
    {
        let email = format!("{}@example.com", scope.as_str());
        let [one, two] = [page(&world), page(&world)];
        in_time(one.sign_up(&email, PASSWORD)).await.unwrap();
        in_time(two.sign_in_with_password(&email, PASSWORD)).await.unwrap();
        in_time(one.sign_out(scope)).await.unwrap();
        assert_eq!(one.peek().is_some(), here, "{scope:?}");
        assert_eq!(in_time(two.user()).await.is_ok(), other, "{scope:?}");
        assert_eq!(two.peek().is_some(), other, "{scope:?}: who finds out is signed out, too");
    }
}

#[tokio::test]
async fn eight_tabs_renew_at_once_with_reuse_detection_on_and_nobody_is_signed_out() {
    let world = World::with(Config { reuse_interval: Duration::ZERO, ..config() }).await;
    let storage = MemoryStorage::new();
    let tabs: Vec<_> = (0..8).map(|_| tab(&world, &storage)).collect();
    in_time(tabs[0].sign_in_anonymously()).await.unwrap();
    for round in 0..50 {
        let renewed = in_time(join_all(tabs.iter().map(Supabase::refresh))).await;
        for session in renewed {
            session.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
    assert!(in_time(tabs[7].user()).await.is_ok());
}

#[tokio::test]
async fn a_short_session_is_renewed_before_each_mint() {
    let world = World::with(Config { session_ttl: Duration::from_secs(2), ..config() }).await;
    let (supabase, first) = signed_up(&world).await;
    let mut session = first.clone();
    while session == first {
        tokio::time::sleep(Duration::from_millis(50)).await;
        session = in_time(supabase.session()).await.unwrap().unwrap();
    }
    assert_eq!(world.counted("auth.token.refresh_token"), 1);
    // A user who is banned is signed out at the next renewal.
    world.running.admin().set_ban(&session.user().id, Some(Duration::from_secs(3600))).await.unwrap();
    while in_time(supabase.session()).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn limits_and_faults_sign_nobody_out() {
    let world = World::with(Config { auth_limits: true, ..config() }).await;
    let (supabase, _) = signed_up(&world).await;
    let refused = loop {
        if let Err(error) = in_time(supabase.refresh()).await {
            break error;
        }
    };
    assert_eq!((refused.reason(), refused.status()), (Reason::RateLimited, Some(429)));
    assert!(in_time(supabase.session()).await.unwrap().is_some());
}
