//! What a client refuses to be built from, and which URLs it calls.

use behest_client::client::Client;
use behest_client::{Reason, Secret};

use crate::test;
use behest_client::testing::{SUPABASE, World, default_reply};

#[test]
fn base_urls_work_with_and_without_slash_and_version() {
    for url in [
        "https://g.example",
        "https://g.example/",
        "https://g.example/v1",
        "https://g.example/v1/",
        "https://g.example//",
    ] {
        let world = World::new();
        world.serve(|request, log| match request.url.contains("behest-token") {
            true => behest_client::testing::bundle("t", 900),
            false => default_reply(request, log),
        });
        let client = Client::builder(url).function(format!("{SUPABASE}/"), "behest-token").transport(world.clone());
        let client = client.session(Secret::from("opaque")).build().unwrap();
        world.run(client.ask("Hi!")).unwrap();
        world.log(|log| {
            assert_eq!(log.requests[0].url, "https://project.example/functions/v1/behest-token");
            assert_eq!(log.requests[1].url, "https://g.example/v1/chat/completions", "{url}");
        });
    }
}

#[test]
fn a_token_endpoint_may_be_anywhere() {
    let world = World::new();
    world.serve(|request, log| match request.url == "https://app.example/api/token" {
        true => behest_client::testing::bundle("t", 900),
        false => default_reply(request, log),
    });
    let client =
        Client::builder("https://g.example").token_url("https://app.example/api/token").transport(world.clone());
    let client = client.session(Secret::from("opaque")).build().unwrap();
    assert_eq!(world.run(client.ask("Hi!")).unwrap(), "Hello");
}

/// In browsers `fetch` says so.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn an_address_that_no_request_can_have_is_told_at_once() {
    for url in ["http://1.2.3.999", "https://0x100000000", "http://[1::2::3]"] {
        let error = Client::builder(url).token_url("https://f.example").session(Secret::from("t")).build().unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidConfig, "{url}");
    }
}

#[test]
fn bad_options_are_named() {
    let build = |gateway: &str, supabase: &str, function: &str| {
        Client::builder(gateway).function(supabase, function).session(Secret::from("t")).transport(World::new()).build()
    };
    let good = ("https://g.example", "https://p.example", "behest-token");
    assert!(build(good.0, good.1, good.2).is_ok());
    for url in [
        "",
        "g.example",
        "ftp://g.example",
        "https://",
        "https:///x",
        "https://g.example?x=1",
        "https://g.example/#a",
        "https://user@g.example",
        "https://g example",
        "javascript:alert(1)",
    ] {
        let error = build(url, good.1, good.2).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidConfig, "{url}");
        assert!(error.message().contains("the gateway URL"), "{error}");
        assert!(build(good.0, url, good.2).unwrap_err().message().contains("the Supabase URL"), "{url}");
    }
    for name in ["", "a/b", "../x", "a?b", "ü"] {
        assert!(build(good.0, good.1, name).unwrap_err().message().contains("the function's name"), "{name}");
    }
    let missing = Client::builder(good.0).session(Secret::from("t")).build().unwrap_err();
    assert!(missing.message().contains("token function"), "{missing}");
    let missing = Client::builder(good.0).function(good.1, good.2).build().unwrap_err();
    assert!(missing.message().contains("session source"), "{missing}");
    let everything =
        Client::builder("g.example").function("p.example", "a/b").api_key("sb_secret_x").build().unwrap_err();
    for problem in ["the gateway URL", "the Supabase URL", "the function's name", "the key", "the session source"] {
        assert!(everything.message().contains(problem), "{problem}: {everything}");
    }
    for key in ["sb_secret_x", "behest_sk_live_x", "a\nb"] {
        let client = Client::builder(good.0).function(good.1, good.2).session(Secret::from("t")).api_key(key);
        assert_eq!(client.build().unwrap_err().reason(), Reason::InvalidConfig, "{key}");
    }
}
