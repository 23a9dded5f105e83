//! What the shared cases cannot say about guards: settings that are refused, layers, and ways to the project's data.

use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use behest_client::Error;
use behest_client::server::axum::authenticate;
use behest_client::server::{Caller, Clock, Guard, HttpError, Mode, Settings};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

use crate::support::*;

const KEYS: [(&str, &str); 2] = [
    ("SUPABASE_PUBLISHABLE_KEYS", r#"{"default":"sb_publishable_1","web":"sb_publishable_web"}"#),
    ("SUPABASE_SECRET_KEYS", r#"{"default":"sb_secret_1","jobs":"sb_secret_jobs"}"#),
];

/// Variables, or headers.
type Pairs<'a> = &'a [(&'static str, &'a str)];

fn modes(texts: &[&str]) -> Result<Vec<Mode>, Error> {
    texts.iter().map(|text| text.parse()).collect()
}

fn built(extra: &[(&str, &str)], texts: &[&str]) -> Result<Guard, Error> {
    Guard::new(Settings::from_lookup(lookup(extra)), modes(texts)?)
}

/// A guard whose other servers are the returned fake.
fn guard(texts: &[&str]) -> (Guard, Arc<Fake>) {
    let http = Arc::new(Fake::default());
    http.on(JWKS, |_| answer(200, json!({"keys": [Key::project().jwk("current")]})));
    let settings = Settings::from_lookup(lookup(&KEYS)).http(http.clone());
    let settings = settings.clock(Clock::from_fn(|| Duration::from_secs(NOW)));
    (Guard::new(settings, modes(texts).unwrap()).unwrap(), http)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(pair).collect()
}

async fn caller(guard: &Guard, pairs: &[(&'static str, &str)]) -> Result<Caller, Error> {
    guard.authenticate(&headers(pairs)).await
}

#[test]
fn what_could_never_let_anybody_in_is_refused_at_the_start() {
    let cases: [(Pairs, &[&str], &str); 12] = [
        (&KEYS, &[], "empty"),
        (&KEYS, &["none", "user"], "last"),
        (&KEYS, &["secret:missing"], "secret:missing"),
        (&KEYS, &["publishable: web"], "publishable: web"),
        (&[], &["secret"], "SUPABASE_SECRET_KEYS"),
        (&[], &["user", "secret:*"], "SUPABASE_SECRET_KEYS"),
        (&KEYS, &["Secret"], "Secret"),
        (&KEYS, &["user:x"], "user:x"),
        (&KEYS, &["anybody"], "anybody"),
        (&[("SUPABASE_SECRET_KEYS", r#"{"default":123}"#)], &["secret"], "SUPABASE_SECRET_KEYS"),
        (&[("SUPABASE_SECRET_KEYS", r#"{"default":" "}"#)], &["secret"], "SUPABASE_SECRET_KEYS"),
        (
            &[("SUPABASE_SECRET_KEYS", r#"["sb_secret_1"]"#), ("SUPABASE_SECRET_KEY", "x")],
            &["secret"],
            "SUPABASE_SECRET_KEYS",
        ),
    ];
    for (extra, texts, named) in cases {
        let error = built(extra, texts).unwrap_err();
        assert_eq!(error.reason().as_str(), "misconfigured", "{texts:?}");
        assert!(error.message().contains(named), "{texts:?}: {}", error.message());
    }
    for text in ["user", "none", "publishable:default", "publishable:*", "secret:a:b", "secret:*"] {
        assert_eq!(text.parse::<Mode>().unwrap().to_string(), text);
    }
    assert!(built(&[("SUPABASE_SECRET_KEY", "x")], &["secret"]).is_ok(), "one key alone is the default one");
    assert!(built(&[("CORS_ORIGIN", "")], &["user"]).is_ok(), "a guard without pages");
}

#[tokio::test]
async fn a_token_is_never_passed_over_while_the_keys_cannot_be_fetched() {
    let (guard, http) = guard(&["user", "none"]);
    http.on(JWKS, |_| Err(HttpError::Timeout));
    let bearer = format!("Bearer {}", session());
    let error = caller(&guard, &[("authorization", &bearer)]).await.unwrap_err();
    assert_eq!(error.reason().as_str(), "jwks_unavailable");
    assert_eq!(guard.refuse(&HeaderMap::new(), &error).status(), 503);
}

/// supabase-js sends the publishable key as bearer for those who are not signed in, and the older keys are JWTs.
#[tokio::test]
async fn a_key_that_is_a_jwt_is_no_session() {
    let key = |role: &str| {
        let claims = json!({"iss": "supabase", "ref": "ref", "role": role, "exp": NOW + 1000});
        jwt(&Key::Shared(SECRET.into()), json!({"alg": "HS256"}), &claims)
    };
    let (anon, service) = (key("anon"), key("service_role"));
    let settings = Settings::from_lookup(lookup(&[("SUPABASE_PUBLISHABLE_KEY", "")]));
    let settings = settings.supabase_anon_key(&anon).supabase_secret_key(&service);
    for secret in ["", SECRET] {
        let settings = settings.clone().supabase_jwt_secret(secret);
        let let_in = async |texts: &[&str], token: &str| {
            let guard = Guard::new(settings.clone(), modes(texts).unwrap()).unwrap();
            let caller = caller(&guard, &[("authorization", &format!("Bearer {token}")), ("apikey", token)]).await;
            caller.map(|caller| caller.mode().to_string()).map_err(|error| error.reason().as_str())
        };
        assert_eq!(let_in(&["user", "none"], &anon).await.as_deref(), Ok("none"));
        assert_eq!(let_in(&["user", "publishable"], &anon).await.as_deref(), Ok("publishable:default"));
        assert_eq!(let_in(&["user", "secret"], &service).await.as_deref(), Ok("secret:default"));
        for token in [&anon, &service] {
            assert_eq!(let_in(&["user"], token).await, Err("api_key_as_bearer"));
        }
        let other = key("authenticated");
        assert!(let_in(&["user", "none"], &other).await.is_err(), "what is no key of the settings is a token");
    }
}

#[tokio::test]
async fn ids_that_behest_reserves_are_users_like_others_and_refusals_are_logged() {
    let (guard, _) = guard(&["user"]);
    let bearer = format!("Bearer {}", session_with(json!({"sub": "system-1"})));
    let reserved = caller(&guard, &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(reserved.user().unwrap().id(), "system-1");
    let error = caller(&guard, &[]).await.unwrap_err();
    guard.refuse(&HeaderMap::new(), &error);
    assert!(log::written().contains("missing_token"), "{}", log::written());
}

#[tokio::test]
async fn users_anonymous_ones_and_roles_are_told_apart() {
    let bearer = |changes| format!("Bearer {}", session_with(changes));
    let (open, http) = guard(&["user"]);
    let anonymous = caller(&open, &[("authorization", &bearer(json!({"is_anonymous": true})))]).await.unwrap();
    assert!(anonymous.user().unwrap().is_anonymous());
    let strict = Settings::from_lookup(lookup(&KEYS)).http(http).allow_anonymous(false).session_roles(["member"]);
    let strict = Guard::new(strict.clock(Clock::from_fn(|| Duration::from_secs(NOW))), [Mode::User]).unwrap();
    for (changes, reason) in
        [(json!({"role": "member", "is_anonymous": true}), "anonymous_refused"), (json!({}), "role_refused")]
    {
        let error = caller(&strict, &[("authorization", &bearer(changes))]).await.unwrap_err();
        assert_eq!(error.reason().as_str(), reason);
    }
    assert!(caller(&strict, &[("authorization", &bearer(json!({"role": "member"})))]).await.is_ok());
}

#[tokio::test]
async fn data_is_read_under_the_callers_identity_or_the_secret_key() {
    let (guard, http) = guard(&["user", "secret:*", "publishable:*", "none"]);
    http.on("/rest/v1/notes", |_| answer(200, json!([])));
    let token = session();
    let bearer = format!("Bearer {token}");
    let cases: [(Pairs, &str, Option<&str>, &str); 4] = [
        (&[("authorization", &bearer)], "sb_publishable_1", Some(&bearer), "sb_secret_1"),
        (&[("apikey", "sb_publishable_web")], "sb_publishable_web", None, "sb_secret_1"),
        (&[("apikey", "sb_secret_jobs")], "sb_publishable_1", None, "sb_secret_jobs"),
        (&[], "sb_publishable_1", None, "sb_secret_1"),
    ];
    for (sent, key, authorization, secret) in cases {
        let caller = caller(&guard, sent).await.unwrap();
        let (own, admin) = (caller.rest(), caller.admin().unwrap());
        own.request(Method::GET, "notes").query("select", "a b&c").query("id", "eq.7").send().await.unwrap();
        admin.request(Method::POST, "/notes").json(&json!({})).send().await.unwrap();
        let calls = http.calls("/rest/v1/notes");
        let [own, admin] = &calls[calls.len() - 2..] else { panic!() };
        assert_eq!(own.uri().to_string(), format!("{PROJECT}/rest/v1/notes?select=a%20b%26c&id=eq.7"));
        assert_eq!(
            (admin.headers()["content-type"].to_str().unwrap(), &admin.body()[..]),
            ("application/json", &b"{}"[..])
        );
        assert_eq!(own.headers()["apikey"], key);
        assert_eq!(own.headers().get("authorization").map(|value| value.to_str().unwrap()), authorization);
        assert_eq!(admin.headers()["apikey"], secret);
        assert!(admin.headers().get("authorization").is_none() && admin.method() == Method::POST);
        assert!(!format!("{caller:?} {:?}", caller.rest()).contains(&token));
    }
    let (without, _) = (built(&[], &["none"]).unwrap(), ());
    let nobody = caller(&without, &[]).await.unwrap();
    assert_eq!(nobody.admin().unwrap_err().reason().as_str(), "misconfigured");
}

#[tokio::test]
async fn a_request_to_the_data_can_say_what_it_wishes_and_stays_below_its_address() {
    let (guard, http) = guard(&["none"]);
    let rest = caller(&guard, &[]).await.unwrap().admin().unwrap();
    let upsert = rest.request(Method::POST, "notes").query("on_conflict", "id").json(&json!([{"id": 7}]));
    let upsert = upsert.prefer("resolution=merge-duplicates").prefer("return=representation").single();
    let own = HeaderValue::from_static("mine");
    let upsert = upsert.header(HeaderName::from_static("apikey"), own.clone());
    http.on("/rest/v1/notes", |_| answer(201, json!({"id": 7})));
    let answered = upsert.header(HeaderName::from_static("accept-profile"), own).send().await.unwrap();
    assert_eq!(answered.status(), 201);
    let sent = &http.calls("/rest/v1/notes")[0];
    let all = |name| sent.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all("prefer"), ["resolution=merge-duplicates", "return=representation"]);
    assert_eq!(all("accept"), ["application/vnd.pgrst.object+json"]);
    assert_eq!((all("apikey"), all("accept-profile")), (vec!["sb_secret_1"], vec!["mine"]));
    assert_eq!(sent.body(), r#"[{"id":7}]"#);

    for (path, address) in [
        ("../../auth/v1/admin/users", "/rest/v1/auth/v1/admin/users"),
        ("%2e%2e/%2E%2E/auth", "/rest/v1/%252e%252e/%252E%252E/auth"),
        ("..\\..\\auth", "/rest/v1/..%5C..%5Cauth"),
        ("notes?id=eq.7#x", "/rest/v1/notes%3Fid%3Deq.7%23x"),
        ("//evil.example/x", "/rest/v1/evil.example/x"),
        ("rpc/archive", "/rest/v1/rpc/archive"),
    ] {
        http.on(address, |_| answer(200, json!([])));
        rest.request(Method::GET, path).send().await.unwrap();
        assert_eq!(http.count(address), 1, "{path}");
    }
}

#[tokio::test]
async fn an_inner_layer_judges_anew() {
    let (open, _) = guard(&["none"]);
    let (closed, _) = guard(&["secret"]);
    let name = async |caller: Caller| caller.mode().to_string();
    let app = axum::Router::new()
        .route("/closed", get(name).layer(from_fn_with_state(closed, authenticate)))
        .route("/open", get(name))
        .layer(from_fn_with_state(open, authenticate));
    for (path, key, status) in [("/open", None, 200), ("/closed", None, 401), ("/closed", Some("sb_secret_1"), 200)] {
        let mut request = Request::get(path).header("origin", PAGE);
        if let Some(key) = key {
            request = request.header("apikey", key);
        }
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{path} {key:?}");
        assert_eq!(response.headers()["access-control-allow-origin"], PAGE);
    }
}

#[tokio::test]
async fn a_handler_without_a_layer_around_it_is_no_open_door() {
    let app = axum::Router::new().route("/", get(async |_: Caller| "in"));
    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 500);
}
