//! Several tabs, one storage, no locks: the worst that a browser can be.

use std::pin::pin;

use behest_client::auth::{AuthEvent, MemoryStorage, Scope, Storage};
use futures_util::future::join_all;
use std::sync::{Arc, Mutex};

use crate::server::{HOUR, KEY, Server, refusal};
use crate::test;

/// A number below `below`, of a sequence that is the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

#[test]
fn tabs_that_renew_at_the_same_moment_never_sign_anybody_out() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for is_lenient in [true, false] {
        let server = Server::new();
        if !is_lenient {
            server.strict();
        }
        let storage = MemoryStorage::new();
        let tabs: Vec<_> = (0..4).map(|_| server.tab(&storage)).collect();
        server.world.run(tabs[0].sign_in_anonymously()).unwrap();
        for round in 0..50 {
            server.world.pass(HOUR + numbers.below(1000));
            // Each answer takes up to a second, in which the others look at the storage.
            server.delays((0..8).map(|_| numbers.below(1000)).collect::<Vec<_>>());
            let sessions = server.world.run(join_all(tabs.iter().map(|tab| tab.session())));
            for session in sessions {
                assert!(session.unwrap().is_some(), "round {round}, lenient: {is_lenient}");
            }
            assert!(!server.is_revoked(), "round {round}");
            let newest = tabs[0].peek();
            assert!(tabs.iter().all(|tab| tab.peek() == newest));
        }
    }
}

#[test]
fn what_another_tab_stored_is_used_and_nothing_is_sent() {
    let server = Server::new();
    let storage = MemoryStorage::new();
    let (one, two) = (server.tab(&storage), server.tab(&storage));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let list = heard.clone();
    let _heard = two.on_change(move |event, _| list.lock().unwrap().push(event));
    server.world.run(one.sign_in_anonymously()).unwrap();
    server.world.pass(HOUR + 1);
    let renewed = server.world.run(one.session()).unwrap();
    assert_eq!(server.world.run(two.session()).unwrap(), renewed);
    assert_eq!(server.renewals(), 1);
    server.world.run(one.sign_out(Scope::Local)).unwrap();
    assert_eq!(server.world.run(two.session()).unwrap(), None);
    assert_eq!(*heard.lock().unwrap(), [AuthEvent::InitialSession, AuthEvent::SignedIn, AuthEvent::SignedOut]);
}

#[test]
fn a_loser_waits_for_what_the_winner_is_about_to_store() {
    let server = Server::new();
    server.strict();
    let storage = MemoryStorage::new();
    let (one, two) = (server.tab(&storage), server.tab(&storage));
    server.world.run(one.sign_in_anonymously()).unwrap();
    server.world.pass(HOUR + 1);
    server.delays([1_000]);
    let mut winner = pin!(one.session());
    assert!(server.world.poll_once(winner.as_mut()).is_pending());
    let loser = server.world.run(two.session()).unwrap();
    assert_eq!(loser, server.world.run(winner).unwrap());
    assert_eq!(loser.unwrap().refresh_token().expose(), "refresh-1-1");
}

#[test]
fn a_tab_that_signs_out_ends_a_renewal_elsewhere() {
    let server = Server::new();
    let storage = MemoryStorage::new();
    let (one, two) = (server.tab(&storage), server.tab(&storage));
    server.world.run(one.sign_in_anonymously()).unwrap();
    server.world.pass(HOUR - 30);
    server.delays([500]);
    let mut renewal = pin!(two.session());
    assert!(server.world.poll_once(renewal.as_mut()).is_pending());
    storage.remove(KEY).unwrap();
    assert_eq!(server.world.run(renewal).unwrap(), None);
    assert_eq!(storage.get(KEY).unwrap(), None, "what came is not stored");
    assert!(one.peek().is_none());
}

#[test]
fn what_is_stored_by_others_is_read_with_care() {
    let server = Server::new();
    for junk in ["", "null", "{}", "base64-eyJ9", r#"{"access_token":1,"refresh_token":2,"expires_at":3}"#, "[[[[[["] {
        let storage = MemoryStorage::new();
        storage.set(KEY, junk).unwrap();
        assert_eq!(server.world.run(server.tab(&storage).session()).unwrap(), None, "{junk}");
    }
    server.world.log(|log| assert_eq!(log.requests.len(), 0));
}

#[test]
fn a_session_that_changes_for_ever_is_an_error_and_no_loop() {
    let server = Server::new();
    let storage = MemoryStorage::new();
    let tab = server.tab(&storage);
    server.world.run(tab.sign_in_anonymously()).unwrap();
    server.world.pass(HOUR + 1);
    let shared = storage.clone();
    let mut number = 0;
    server.world.serve(move |_, _| {
        // Somebody stores another expired session before each answer.
        number += 1;
        let session = format!(
            r#"{{"access_token":"a-{number}","refresh_token":"r-{number}","expires_at":1,"user":{{"id":"u"}}}}"#
        );
        shared.set(KEY, &session).unwrap();
        refusal(429, "over_request_rate_limit")
    });
    assert!(server.world.run(tab.session()).is_err());
    assert!(server.renewals() < 10);
}
