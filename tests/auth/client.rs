//! The client, with a Supabase project as its session source.

use std::pin::pin;
use std::sync::Arc;

use behest_client::auth::{MemoryStorage, Scope, Storage, Supabase};
#[cfg(not(target_arch = "wasm32"))]
use behest_client::client::transport::NativeTransport;
use behest_client::client::{ChatRequest, Client};
use behest_client::testing::{GATEWAY, header};
use behest_client::{Error, Reason};
use futures_util::StreamExt as _;

use crate::server::{HOUR, KEY, Server};
use crate::test;

fn client(server: &Server, supabase: &Supabase) -> Client {
    Client::builder(GATEWAY).supabase(supabase, "behest-token").transport(server.world.clone()).build().unwrap()
}

#[test]
fn the_session_goes_to_the_token_function() {
    let server = Server::new();
    let supabase = server.page();
    let client = client(&server, &supabase);
    assert_eq!(server.world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
    let session = server.world.run(supabase.sign_in_with_password("ada@example.com", "correct horse")).unwrap();
    assert_eq!(server.world.run(client.ask("Hi!")).unwrap(), "Hello");
    let bearer = format!("Bearer {}", session.access_token().expose());
    let sent = server.world.log(|log| {
        let mint = log.requests.iter().find(|request| request.url.contains("/functions/v1/")).unwrap();
        header(mint, "authorization").unwrap().to_owned()
    });
    assert_eq!(sent, bearer);
}

#[test]
fn a_token_is_minted_with_a_fresh_session_and_a_renewal_costs_none() {
    let server = Server::new();
    let supabase = server.signed_in();
    let client = client(&server, &supabase);
    server.world.run(client.ask("Hi!")).unwrap();
    server.world.run(supabase.refresh()).unwrap();
    server.world.run(client.ask("Hi!")).unwrap();
    assert_eq!(server.world.log(|log| log.mints()), 1);
    server.world.pass(HOUR);
    server.world.run(client.ask("Hi!")).unwrap();
    assert_eq!((server.world.log(|log| log.mints()), server.renewals()), (2, 2));
}

#[test]
fn another_user_gets_a_token_of_their_own_and_signing_out_ends_the_stream() {
    let server = Server::new();
    let supabase = server.signed_in();
    let client = client(&server, &supabase);
    let mut stream = server.world.run(client.chat_stream(&ChatRequest::user("Hi!"))).unwrap();
    server.world.run(stream.next()).unwrap().unwrap();
    // The same user, but another sign-in.
    server.world.run(supabase.sign_in_anonymously()).unwrap();
    let left = loop {
        match server.world.run(stream.next()) {
            Some(Ok(_)) => {}
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert_eq!(left.as_ref().map(Error::reason), Some(Reason::UserChanged));
    server.world.run(client.ask("Hi!")).unwrap();
    assert_eq!(server.world.log(|log| log.mints()), 2);
    server.world.run(supabase.sign_out(Scope::Global)).unwrap();
    assert_eq!(server.world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
    assert!(client.token_info().is_none());
}

#[test]
fn a_storage_that_others_change_is_asked_at_every_call() {
    let server = Server::new();
    let storage = MemoryStorage::new();
    let (here, elsewhere) = (server.tab(&storage), server.tab(&storage));
    server.world.run(here.sign_in_anonymously()).unwrap();
    let client = client(&server, &here);
    server.world.run(client.ask("Hi!")).unwrap();
    server.world.run(elsewhere.sign_in_anonymously()).unwrap();
    // It began as the one who was known here, and finds that another one is signed in.
    assert_eq!(server.world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::UserChanged);
    server.world.run(client.ask("Hi!")).unwrap();
    assert_eq!(server.world.log(|log| log.mints()), 2, "another sign-in, another token");
    storage.remove(KEY).unwrap();
    assert!(server.world.run(client.ask("Hi!")).is_err());
    assert_eq!(server.world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
}

#[test]
fn a_call_that_is_dropped_leaves_the_renewal() {
    let server = Server::new();
    let supabase = server.signed_in();
    let client = client(&server, &supabase);
    server.world.pass(HOUR + 1);
    server.delays([300]);
    {
        let mut call = pin!(client.ask("Hi!"));
        assert!(server.world.poll_once(call.as_mut()).is_pending());
    }
    server.world.run(client.ask("Hi!")).unwrap();
    assert_eq!(server.renewals(), 1);
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn outside_tokio_it_says_what_it_needs() {
    let builder = || Supabase::builder("http://127.0.0.1:1", "k");
    // An HTTP client of one's own needs it, too.
    for builder in [builder(), builder().transport(NativeTransport::default())] {
        let error = server_less(builder.build().unwrap().sign_in_anonymously());
        assert_eq!(error.reason(), Reason::InvalidConfig);
        assert!(error.hint().contains("tokio"), "{error}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn server_less<T: std::fmt::Debug>(future: impl Future<Output = Result<T, Error>>) -> Error {
    behest_client::testing::World::new().run(future).unwrap_err()
}

#[test]
fn a_project_crosses_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Supabase>();
    shared::<behest_client::auth::AuthSession>();
    shared::<Arc<behest_client::auth::Subscription>>();
}

/// In browsers a panic ends the whole instance.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_listener_that_panics_keeps_the_sign_out_from_no_client() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let server = Server::new();
    let supabase = server.signed_in();
    let _stays = supabase.on_change(|_, session| assert!(session.is_some(), "a defect of the application"));
    let client = client(&server, &supabase);
    server.world.run(client.warm()).unwrap();
    let sign_out = || server.world.run(supabase.sign_out(Scope::Local));
    assert!(catch_unwind(AssertUnwindSafe(sign_out)).is_err());
    assert_eq!(client.token_info(), None);
    assert_eq!(server.world.run(client.ask("Hi!")).unwrap_err().reason(), Reason::SignedOut);
}
