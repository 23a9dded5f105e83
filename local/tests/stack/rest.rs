//! The profiles table as PostgREST answers.

use std::time::Duration;

use serde_json::json;

use crate::support::{World, jwt_with, send};

const OBJECT: &str = "application/vnd.pgrst.object+json";

#[tokio::test]
async fn everybody_reads_their_own_row_and_no_other() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let bob = world.sign_up("bob@example.com").await;
    world.running.admin().set_plan(&bob.user, "pro").await.unwrap();

    let all = send(world.get_supabase("/rest/v1/profiles").bearer_auth(&ada.access)).await;
    assert_eq!(all.json(), json!([{ "id": ada.user, "plan": "free" }]));
    assert_eq!(all.header("content-range"), Some("0-0/*"));

    let one = |user: &str| {
        world.get_supabase(&format!("/rest/v1/profiles?select=plan&id=eq.{user}")).header("accept", OBJECT)
    };
    let own = send(one(&bob.user).bearer_auth(&bob.access)).await;
    assert_eq!(own.json(), json!({ "plan": "pro" }));
    assert_eq!(own.header("content-type"), Some("application/vnd.pgrst.object+json; charset=utf-8"));

    let others = send(one(&bob.user).bearer_auth(&ada.access)).await;
    assert_eq!((others.status.as_u16(), &others.json()["code"]), (406, &json!("PGRST116")));
    assert_eq!(others.json()["details"], "The result contains 0 rows");
    let nobody = send(one(&bob.user)).await;
    assert_eq!(nobody.status, 406, "the anonymous role sees no row");
    let key = &world.running.publishable_key;
    assert_eq!(send(world.get_supabase("/rest/v1/profiles").bearer_auth(key)).await.json(), json!([]));
}

#[tokio::test]
async fn rows_are_filtered_renamed_and_counted() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let ask = async |query: &str, prefer: &str| {
        let call = world.get_supabase(&format!("/rest/v1/profiles?{query}")).bearer_auth(&ada.access);
        send(call.header("prefer", prefer)).await
    };
    let renamed = ask("select=level:plan&plan=in.(pro,free)&id=not.is.null", "").await;
    assert_eq!(renamed.json(), json!([{ "level": "free" }]));
    assert_eq!(ask("plan=neq.free", "").await.json(), json!([]));
    for (query, prefer, status, range) in [
        ("select=*", "count=exact", 200, "0-0/1"),
        ("select=*", "return=minimal, count=planned", 200, "0-0/1"),
        ("plan=eq.max", "count=estimated", 200, "*/0"),
        ("limit=0", "count=exact", 206, "*/1"),
    ] {
        let counted = ask(query, prefer).await;
        assert_eq!((counted.status.as_u16(), counted.header("content-range")), (status, Some(range)), "{query}");
    }
    let head = world.http.head(format!("{}/rest/v1/profiles", world.running.supabase_url));
    let head = head.header("apikey", &world.running.publishable_key).bearer_auth(&ada.access);
    assert_eq!(send(head.header("prefer", "count=exact")).await.header("content-range"), Some("0-0/1"));
    let rpc = send(world.post_supabase("/rest/v1/rpc/hello", &json!({}))).await;
    assert_eq!((rpc.status.as_u16(), &rpc.json()["code"]), (404, &json!("PGRST202")));
}

#[tokio::test]
async fn what_is_missing_is_refused_and_not_taken_for_something_else() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    for (query, header, value, status, code) in [
        ("", "accept", "text/csv", 406, "PGRST107"),
        ("", "accept", "application/vnd.pgrst.plan+text; for=\"application/json\"", 406, "PGRST107"),
        ("", "accept-profile", "private", 406, "PGRST106"),
        ("or=(plan.eq.free,plan.is.null)", "accept", "*/*", 400, "PGRST100"),
        ("offset=2", "prefer", "count=exact", 416, "PGRST103"),
        ("offset=2", "prefer", "return=representation", 200, ""),
        ("", "accept", "application/json;q=0.9", 200, ""),
        ("", "accept", "text/html, */*;q=0.8", 200, ""),
        ("", "accept", "application/vnd.pgrst.object+json;nulls=stripped", 200, ""),
        ("", "accept-profile", "public", 200, ""),
    ] {
        let call = world.get_supabase(&format!("/rest/v1/profiles?{query}")).bearer_auth(&ada.access);
        let answer = send(call.header(header, value)).await;
        let said = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status.as_u16(), &*said), (status, code), "{query} {value}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_secret_key_reads_every_row() {
    let world = World::start().await;
    let key = world.secret_key().await;
    let mut users = Vec::new();
    for (email, plan) in [("ada@example.com", "pro"), ("bob@example.com", "max"), ("eve@example.com", "free")] {
        let signed = world.sign_up(email).await;
        world.running.admin().set_plan(&signed.user, plan).await.unwrap();
        users.push(signed);
    }
    let ask = async |query: &str, bearer: Option<&str>| {
        let call = world.http.get(format!("{}/rest/v1/profiles?{query}", world.running.supabase_url));
        let call = call.header("apikey", &key).header("prefer", "count=exact");
        send(bearer.map_or(call.try_clone().unwrap(), |token| call.bearer_auth(token))).await
    };
    for bearer in [None, Some(key.as_str())] {
        let sorted = ask("select=plan&order=plan.desc", bearer).await;
        assert_eq!(sorted.json(), json!([{ "plan": "pro" }, { "plan": "max" }, { "plan": "free" }]));
        assert_eq!(sorted.header("content-range"), Some("0-2/3"));
        let one = ask(&format!("select=plan&id=eq.{}", users[1].user), bearer).await;
        assert_eq!(one.json(), json!([{ "plan": "max" }]));
    }
    let some = ask("select=plan&order=plan&offset=1&limit=1", None).await;
    assert_eq!((some.status.as_u16(), some.header("content-range")), (206, Some("1-1/3")));
    assert_eq!(some.json(), json!([{ "plan": "max" }]));
    let own = ask("select=plan", Some(&users[0].access)).await;
    assert_eq!(own.json(), json!([{ "plan": "pro" }]), "a user's token says who it is, whatever key comes with it");
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_refused() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let forged = jwt_with(&ada.access, 1, |claims| claims["sub"] = json!("somebody-else"));
    for token in [forged.as_str(), "garbage"] {
        let answer = send(world.get_supabase("/rest/v1/profiles").bearer_auth(token)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (401, &json!("PGRST301")));
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer error=\"invalid_token\""));
    }
    world.running.clock().advance(Duration::from_secs(3601));
    let expired = send(world.get_supabase("/rest/v1/profiles").bearer_auth(&ada.access)).await;
    assert_eq!((expired.status.as_u16(), &expired.json()["code"]), (401, &json!("PGRST303")));
}

#[tokio::test]
async fn nobody_changes_a_plan_and_unknown_things_are_named() {
    let world = World::start().await;
    let ada = world.sign_up("ada@example.com").await;
    let url = format!("{}/rest/v1/profiles?id=eq.{}", world.running.supabase_url, ada.user);
    for method in [http::Method::PATCH, http::Method::POST, http::Method::PUT, http::Method::DELETE] {
        let call = |token: Option<&str>| {
            let call = world.http.request(method.clone(), &url).header("apikey", &world.running.publishable_key);
            send(token.map_or(call.try_clone().unwrap(), |token| call.bearer_auth(token)).body(r#"{"plan":"max"}"#))
        };
        let mine = call(Some(&ada.access)).await;
        assert_eq!((mine.status.as_u16(), &mine.json()["code"]), (403, &json!("42501")), "{method}");
        assert_eq!(call(None).await.status, 401, "{method}");
    }
    let row = send(world.get_supabase("/rest/v1/profiles").bearer_auth(&ada.access)).await;
    assert_eq!(row.json()[0]["plan"], "free");

    let cases = [
        ("/rest/v1/secrets", 404, "PGRST205"),
        ("/rest/v1/profiles?select=password", 400, "42703"),
        ("/rest/v1/profiles?id=like.*", 400, "PGRST100"),
    ];
    for (path, status, code) in cases {
        let answer = send(world.get_supabase(path).bearer_auth(&ada.access)).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (status, Some(code)), "{path}");
    }
    assert!(world.running.admin().set_plan("00000000-0000-4000-8000-000000000000", "pro").await.is_err());
}
