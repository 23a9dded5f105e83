//! One error at the start lists everything that is wrong.

use behest_client::Error;
use behest_client::Reason;
use behest_client::server::{Guard, KeyName, Mode, Settings, TokenEndpoint};
use http::HeaderMap;
use serde_json::json;

use crate::support::*;

fn built(extra: &[(&str, &str)]) -> Result<TokenEndpoint, Error> {
    TokenEndpoint::new(Settings::from_lookup(lookup(extra)))
}

#[track_caller]
fn complaint(extra: &[(&str, &str)]) -> String {
    let error = built(extra).expect_err("the settings are wrong");
    assert_eq!(error.reason(), Reason::Misconfigured);
    error.message().to_owned()
}

#[test]
fn everything_missing_is_named_at_once() {
    let error = TokenEndpoint::new(Settings::from_lookup(|_| None)).unwrap_err().to_string();
    for name in ["SUPABASE_URL", "BEHEST_KEY", "CORS_ORIGIN"] {
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    assert!(error.ends_with("Correct them, and start again."), "{error}");
    let all = complaint(&[
        ("SUPABASE_URL", "ref.supabase.co"),
        ("BEHEST_BASE_URL", " "),
        ("CORS_ORIGIN", "*"),
        ("BEHEST_TTL", "5"),
        ("SUPABASE_JWT_SECRET", "short"),
        ("ALLOW_ANONYMOUS", "maybe"),
        ("SUPABASE_JWKS", "{}"),
        ("SUPABASE_PUBLISHABLE_KEY", ""),
        ("SUPABASE_PUBLISHABLE_KEYS", "[]"),
    ]);
    for name in [
        "SUPABASE_URL ",
        "BEHEST_BASE_URL is not set",
        "CORS_ORIGIN ",
        "BEHEST_TTL ",
        "SUPABASE_JWT_SECRET ",
        "ALLOW_ANONYMOUS ",
        "SUPABASE_JWKS ",
        "SUPABASE_PUBLISHABLE_KEYS ",
    ] {
        assert!(all.contains(name), "{name} is missing in: {all}");
    }
    let key = Key::rsa();
    let pem = crate::minting::pem("PRIVATE KEY", &key.pkcs8());
    let signing = complaint(&[("BEHEST_KEY", &pem), ("BEHEST_TENANT_ID", "t")]);
    assert!(signing.contains("BEHEST_KID is not set; BEHEST_PROJECT_ID is not set"), "{signing}");
    assert!(!signing.contains("BEHEST_TENANT_ID"), "{signing}");
}

/// `docker run --env-file` hands a value on as it stands in the file.
#[tokio::test]
async fn quotes_around_a_value_are_not_part_of_it() {
    for quote in ["\"", "'"] {
        let values = [
            ("SUPABASE_URL", PROJECT),
            ("BEHEST_SUPABASE_URL", ""),
            ("SUPABASE_JWT_SECRET", SECRET),
            ("SUPABASE_SECRET_KEYS", r#"{"default":"sb_secret_1"}"#),
            ("BEHEST_KEY", API_KEY),
            ("CORS_ORIGIN", PAGE),
        ];
        let quoted = values.map(|(name, value)| (name, format!(" {quote}{value}{quote}\r")));
        let quoted: Vec<_> = quoted.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let world = World::with(&quoted, |settings| settings);
        assert_eq!(world.post(&session()).await.status(), 200, "{quote}");
        let shared = jwt(&Key::Shared(SECRET.into()), json!({"alg": "HS256"}), &claims(json!({})));
        assert_eq!(world.post(&shared).await.status(), 200, "{quote}");
        let guard = Guard::new(Settings::from_lookup(lookup(&quoted)), [Mode::Secret(KeyName::Any)]).unwrap();
        let mut sent = HeaderMap::new();
        sent.insert("apikey", "sb_secret_1".parse().unwrap());
        assert!(guard.authenticate(&sent).await.is_ok(), "{quote}");
    }
    assert!(complaint(&[("BEHEST_TTL", "\"900")]).contains("BEHEST_TTL"), "half a pair is a mistake");
}

#[test]
fn addresses_are_https_or_this_machine() {
    for name in ["SUPABASE_URL", "SUPABASE_PUBLIC_URL", "SUPABASE_JWKS_URL", "BEHEST_BASE_URL"] {
        for bad in [
            "http://kong:8001",
            "http://kong",
            "http://kong.example.com:8000",
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://0.0.0.0:1",
            "ftp://x.example",
            "example.com",
            "https://",
            "https://user:secret@x.example",
            "https://x.example/?key=secret",
            "file:///etc/passwd",
        ] {
            let message = complaint(&[(name, bad)]);
            assert!(message.contains(name) && !message.contains("secret"), "{bad}: {message}");
            let is_url = bad.contains("://") && bad != "https://";
            assert_eq!(
                message.contains("is not a URL: it must begin with https:// and a host"),
                !is_url,
                "{bad}: {message}"
            );
        }
        for good in [
            "http://localhost:54321",
            "http://127.0.0.1:54321/",
            "http://[::1]:1",
            "http://x.localhost",
            "https://x.example",
        ] {
            assert!(built(&[(name, good)]).is_ok(), "{name} {good}");
        }
        let listed = [(name, "http://internal:8000"), ("ALLOW_HTTP_HOSTS", "other, Internal")];
        assert!(built(&listed).is_ok(), "{name}");
    }
    assert!(complaint(&[("BEHEST_BASE_URL", "http://kong:8000")]).contains("list kong in ALLOW_HTTP_HOSTS"));
    assert!(built(&[("SUPABASE_URL", "http://kong:8000")]).is_ok(), "as the Supabase CLI sets it");
}

#[test]
fn origins_are_exact() {
    let cases = [
        ("*", "any page"),
        ("https://*.example.com", "any page"),
        ("https://app.example.com/", "write it so"),
        ("https://app.example.com/path", "write it so"),
        ("https://App.example.com", "`https://app.example.com`"),
        ("https://app.example.com:443", "`https://app.example.com`"),
        ("https://bücher.example", "`https://xn--bcher-kva.example`"),
        ("app.example.com", "not an origin"),
        ("null", "not an origin"),
        ("tauri://localhost/", "`tauri://localhost`"),
        ("tauri://localhost/page", "not an origin"),
        ("tauri:localhost", "not an origin"),
        ("file:///page.html", "not an origin"),
        ("https://good.example, bad", "entry 2 is not an origin"),
    ];
    for (list, says) in cases {
        let message = complaint(&[("CORS_ORIGIN", list)]);
        assert!(message.contains("CORS_ORIGIN ") && message.contains(says), "{list}: {message}");
    }
}

/// A list of nothing but commas is no list, and what was pasted into it by mistake is not repeated.
#[test]
fn origins_are_listed_and_not_quoted() {
    assert!(complaint(&[("CORS_ORIGIN", " , ,")]).contains("CORS_ORIGIN is not set"));
    for list in
        [API_KEY, "https://u:sb_secret_1@x.example", "https://x.example/?key=sb_secret_1", "{\"a\":\"sb_secret_1\"}"]
    {
        let message = complaint(&[("CORS_ORIGIN", list)]);
        assert!(
            message.contains("entry 1") && !message.contains("sb_secret") && !message.contains(API_KEY),
            "{message}"
        );
    }
}

/// Each key has its place. Everybody has the publishable one: whoever takes it for the secret key or the JWT secret lets
/// everybody in.
#[test]
fn keys_in_each_others_places_are_told_and_not_quoted() {
    let older = |role: &str| jwt(&Key::Shared(SECRET.into()), json!({"alg": "HS256"}), &json!({"role": role}));
    let (anon, service) = (older("anon"), older("service_role"));
    let map = |key: &str| json!({"jobs": "sb_secret_1", "default": key}).to_string();
    let publics = ["sb_publishable_1", &anon];
    let secrets = ["sb_secret_1", &service, API_KEY];
    for key in publics {
        for (name, value) in [("SUPABASE_SECRET_KEY", key.to_owned()), ("SUPABASE_SECRET_KEYS", map(key))] {
            let message = complaint(&[(name, &value)]);
            assert!(
                message.contains(&format!("{name} holds a publishable key")) && !message.contains(key),
                "{message}"
            );
        }
    }
    for key in secrets {
        for name in ["SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"] {
            let message = complaint(&[("SUPABASE_PUBLISHABLE_KEY", ""), (name, key)]);
            assert!(message.contains(&format!("{name} holds a secret key")) && !message.contains(key), "{message}");
        }
        assert!(
            complaint(&[("SUPABASE_PUBLISHABLE_KEYS", &map(key))]).contains("SUPABASE_PUBLISHABLE_KEYS holds a secret")
        );
    }
    let long = format!("sb_publishable_{}", "x".repeat(40));
    for key in [&anon, &service, &long] {
        let message = complaint(&[("SUPABASE_JWT_SECRET", key)]);
        assert!(
            message.contains("SUPABASE_JWT_SECRET holds an API key") && !message.contains(key.as_str()),
            "{message}"
        );
    }
    for key in ["sb_publishable_1 2", "sb_publishable_1\n2", "sb_publishable_é"] {
        let message = complaint(&[("SUPABASE_PUBLISHABLE_KEY", key)]);
        assert!(message.contains("SUPABASE_PUBLISHABLE_KEY holds a character that no key has"), "{message}");
    }
    for keys in [
        r#"{"jobs":"sb_secret_old","jobs":"sb_secret_new"}"#,
        r#"{"jobs":"sb_secret_old","\u006aobs":"sb_secret_new"}"#,
    ] {
        let message = complaint(&[("SUPABASE_SECRET_KEYS", keys)]);
        assert!(message.contains("each once") && !message.contains("sb_secret_"), "{message}");
    }
    assert!(built(&[("SUPABASE_SECRET_KEYS", &map(&service)), ("SUPABASE_ANON_KEY", &anon)]).is_ok());
}

#[test]
fn a_mode_takes_the_name_of_a_key() {
    let guard = |name: &str, keys: &str| {
        let mode = Mode::Secret(KeyName::Named(name.into()));
        Guard::new(Settings::from_lookup(lookup(&[("SUPABASE_SECRET_KEYS", keys)])), [mode])
    };
    let key = guard("sb_secret_1", r#"{"jobs":"sb_secret_1"}"#).unwrap_err();
    assert!(key.message().contains("takes a name, not a key") && !key.message().contains("sb_secret_1"), "{key}");
    let name = guard("joobs", r#"{"jobs":"sb_secret_1"}"#).unwrap_err();
    assert!(name.message().contains("nobody can call as `secret:joobs`"), "{name}");
    assert!(guard("behest_jobs", r#"{"behest_jobs":"sb_secret_1"}"#).is_ok(), "a name may look like a key");
}

#[test]
fn numbers_and_key_sets_are_checked() {
    for ttl in ["59", "86401", "-1", "15m", "900.5", "NaN"] {
        assert!(complaint(&[("BEHEST_TTL", ttl)]).contains("60 to 86400"), "{ttl}");
    }
    for ttl in ["60", "86400", " 900 "] {
        assert!(built(&[("BEHEST_TTL", ttl)]).is_ok(), "{ttl}");
    }
    for set in ["x", "7", "{}", r#"{"keys":{}}"#] {
        assert!(complaint(&[("SUPABASE_JWKS", set)]).contains("JSON Web Key Set"), "{set}");
    }
    for set in ["[]", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"EC"}]}"#] {
        assert!(built(&[("SUPABASE_JWKS", set)]).is_ok(), "{set}: the published keys serve");
    }
    let with_secret = [("SUPABASE_JWKS", "[]"), ("SUPABASE_JWT_SECRET", SECRET)];
    assert!(built(&with_secret).is_ok());
    assert!(complaint(&[("BEHEST_MINT_PATH", "mint")]).contains("BEHEST_MINT_PATH must begin"));
}

#[tokio::test]
async fn the_publishable_key_has_three_names() {
    let named = json!({"other": "sb_publishable_o", "default": "sb_publishable_d"}).to_string();
    let cases = [
        ([("SUPABASE_PUBLISHABLE_KEY", ""), ("SUPABASE_PUBLISHABLE_KEYS", named.as_str())], Some("sb_publishable_d")),
        ([("SUPABASE_PUBLISHABLE_KEY", ""), ("SUPABASE_ANON_KEY", "legacy")], Some("legacy")),
        ([("SUPABASE_PUBLISHABLE_KEY", ""), ("SUPABASE_ANON_KEY", "")], None),
    ];
    for (extra, expected) in cases {
        let world = World::with(&extra, |settings| settings);
        assert_eq!(world.post(&session()).await.status(), 200);
        let calls = world.http.calls(PROFILES);
        assert_eq!(calls[0].headers().get("apikey").map(|key| key.to_str().unwrap()), expected);
    }
}
