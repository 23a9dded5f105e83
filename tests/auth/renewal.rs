//! A session is renewed in time, once, and survives everything but its end.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake};
use std::time::Duration;

use behest_client::auth::{MemoryStorage, Scope, Storage, Supabase, UserChanges};
use behest_client::client::transport::Transport as _;
use behest_client::testing::Reply;
use behest_client::{Action, Error, Reason};
use futures_util::future::join_all;

use crate::server::{HOUR, KEY, Server, refusal};
use crate::test;

fn refresh_token(supabase: &Supabase) -> String {
    supabase.peek().map(|session| session.refresh_token().expose().clone()).unwrap_or_default()
}

#[test]
fn all_who_ask_wait_for_one_renewal() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR - 91);
    server.world.run(supabase.session()).unwrap().unwrap();
    assert_eq!(server.renewals(), 0, "still good");
    server.world.pass(11);
    let sessions = server.world.run(join_all((0..10).map(|_| supabase.session())));
    assert_eq!(server.renewals(), 1);
    let first = sessions[0].clone().unwrap().unwrap();
    assert!(sessions.into_iter().all(|session| session.unwrap().as_ref() == Some(&first)));
    assert_eq!(first.refresh_token().expose(), "refresh-1-1");
}

#[test]
fn who_leaves_takes_nobody_along() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR);
    server.delays([300]);
    {
        let mut leader = pin!(supabase.session());
        assert!(server.world.poll_once(leader.as_mut()).is_pending());
    }
    // The rotated tokens are stored though nobody waits for them any more.
    assert!(server.world.run(supabase.session()).unwrap().is_some());
    assert_eq!((server.renewals(), refresh_token(&supabase).as_str()), (1, "refresh-1-1"));
}

#[test]
fn whatever_passes_leaves_the_session() {
    for (reply, reason, attempts) in [
        (refusal(429, "over_request_rate_limit"), Reason::RateLimited, 1),
        (refusal(500, "unexpected_failure"), Reason::ServerError, 3),
        (refusal(409, "conflict"), Reason::Conflict, 3),
        (Reply::bytes(502, "text/html", [b"<html>".to_vec()]), Reason::ServerError, 3),
        (Reply::hang(), Reason::Timeout, 1),
        (Reply::json(401, r#"{"message":"Invalid API key"}"#), Reason::InvalidApiKey, 1),
        (Reply::json(200, "{}"), Reason::InvalidResponse, 1),
    ] {
        let server = Server::new();
        let supabase = server.signed_in();
        // Expired: the caller is told, the session stays.
        server.world.pass(HOUR + 1);
        server.faults("refresh_token", &reply, attempts);
        let error = server.world.run(supabase.session()).unwrap_err();
        assert_eq!((error.reason(), server.renewals()), (reason, attempts), "{error}");
        assert_eq!(refresh_token(&supabase), "refresh-1-0");
        // The server has peace for a while, and then it goes on.
        assert_eq!(server.world.run(supabase.session()).unwrap_err(), error);
        assert_eq!(server.renewals(), attempts);
        server.world.pass(5);
        assert!(server.world.run(supabase.session()).unwrap().is_some(), "{reason:?}");
        assert_eq!(refresh_token(&supabase), "refresh-1-1");
    }
}

#[test]
fn back_online_the_session_is_renewed_at_once() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR + 1);
    for attempts in [3, 6] {
        server.faults("refresh_token", &Reply::refused("offline"), 3);
        assert_eq!(server.world.run(supabase.session()).unwrap_err().reason(), Reason::Network);
        assert_eq!((server.renewals(), refresh_token(&supabase).as_str()), (attempts, "refresh-1-0"));
    }
    assert!(server.world.run(supabase.session()).unwrap().is_some());
}

#[test]
fn a_token_that_is_still_good_is_used_meanwhile() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR - 80);
    server.fault("refresh_token", refusal(429, "over_request_rate_limit"));
    let session = server.world.run(supabase.session()).unwrap().unwrap();
    assert_eq!(session.refresh_token().expose(), "refresh-1-0");
    server.fault("refresh_token", refusal(400, "refresh_token_already_used"));
    server.world.pass(5);
    assert!(server.world.run(supabase.session()).unwrap().is_some());
    assert_eq!(server.renewals(), 2);
    // Who insists is told.
    server.fault("refresh_token", refusal(429, "over_request_rate_limit"));
    assert_eq!(server.world.run(supabase.refresh()).unwrap_err().reason(), Reason::RateLimited);
    assert!(server.world.run(supabase.refresh()).is_ok());
}

#[test]
fn retry_after_is_kept_to() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR + 1);
    server.fault("refresh_token", refusal(429, "over_request_rate_limit").header("retry-after", "120"));
    let error = server.world.run(supabase.session()).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
    server.world.pass(119);
    assert!(server.world.run(supabase.session()).is_err());
    assert_eq!(server.renewals(), 1);
    server.world.pass(1);
    assert!(server.world.run(supabase.session()).unwrap().is_some());
}

#[test]
fn a_session_that_is_over_is_over() {
    for code in ["refresh_token_already_used", "refresh_token_not_found", "session_expired", "user_banned"] {
        let server = Server::new();
        let storage = MemoryStorage::new();
        let supabase = server.tab(&storage);
        server.world.run(supabase.sign_in_anonymously()).unwrap();
        server.world.pass(HOUR + 1);
        server.fault("refresh_token", refusal(400, code));
        assert_eq!(server.world.run(supabase.session()).unwrap(), None, "{code}");
        assert_eq!(storage.get(KEY).unwrap(), None);
        assert_eq!(server.world.run(supabase.session()).unwrap(), None);
        assert_eq!(server.renewals(), 1);
    }
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR + 1);
    server.fault("refresh_token", refusal(400, "session_expired"));
    let error = server.world.run(supabase.refresh()).unwrap_err();
    assert_eq!((error.reason(), error.action()), (Reason::SessionRevoked, Action::SignIn));
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR + 1);
    // The token is rotated, the answer breaks off.
    server.delays([20_000]);
    assert_eq!(server.world.run(supabase.session()).unwrap_err().reason(), Reason::Timeout);
    server.world.pass(5);
    let session = server.world.run(supabase.session()).unwrap().unwrap();
    assert_eq!(session.refresh_token().expose(), "refresh-1-1");
    assert!(!server.is_revoked());
}

#[test]
fn signing_out_meanwhile_is_not_undone() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR - 60);
    server.delays([300]);
    let mut renewal = pin!(supabase.refresh());
    assert!(server.world.poll_once(renewal.as_mut()).is_pending());
    supabase.peek().unwrap();
    // In another tab, so to speak: with the same storage.
    let mut out = pin!(supabase.sign_out(Scope::Local));
    let _ = server.world.poll_once(out.as_mut());
    server.world.run(out).unwrap();
    let renewed = server.world.run(renewal);
    assert!(supabase.peek().is_none(), "{renewed:?}");
}

#[test]
fn signing_in_meanwhile_counts() {
    let server = Server::new();
    let supabase = server.signed_in();
    server.world.pass(HOUR + 1);
    server.delays([300]);
    let mut renewal = pin!(supabase.session());
    assert!(server.world.poll_once(renewal.as_mut()).is_pending());
    let session = server.world.run(supabase.sign_in_anonymously()).unwrap();
    assert_eq!(server.world.run(renewal).unwrap(), Some(session));
}

#[test]
fn a_wrong_clock_does_not_renew_at_every_call() {
    for pass in [7200, 0] {
        let server = Server::new();
        let storage = MemoryStorage::new();
        let supabase = server.tab(&storage);
        server.world.run(supabase.sign_in_anonymously()).unwrap();
        // The server says that the token has an hour left, whatever this machine's clock says.
        let mut session: serde_json::Value = serde_json::from_str(&storage.get(KEY).unwrap().unwrap()).unwrap();
        session["expires_at"] = (session["expires_at"].as_u64().unwrap() - pass).into();
        storage.set(KEY, &session.to_string()).unwrap();
        for _ in 0..5 {
            server.world.run(supabase.session()).unwrap().unwrap();
        }
        assert_eq!(server.renewals(), usize::from(pass > 0));
    }
}

type Begin = fn(&Supabase) -> Pin<Box<dyn Future<Output = Result<(), Error>> + '_>>;

const OPERATIONS: [(&str, Begin); 5] = [
    ("sign_in", |supabase| Box::pin(async { supabase.sign_in_anonymously().await.map(drop) })),
    ("session", |supabase| Box::pin(async { supabase.session().await.map(drop) })),
    ("refresh", |supabase| Box::pin(async { supabase.refresh().await.map(drop) })),
    ("update_user", |supabase| Box::pin(async { supabase.update_user(UserChanges::new()).await.map(drop) })),
    ("sign_out", |supabase| Box::pin(async { supabase.sign_out(Scope::Local).await })),
];

#[test]
fn what_is_dropped_after_any_of_its_polls_leaves_the_session_whole() {
    struct Nothing;
    impl Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    for (name, begin) in OPERATIONS {
        for polls in 0.. {
            let server = Server::new();
            let supabase = server.signed_in();
            server.world.pass(HOUR);
            server.delays([1_000, 1_000]);
            let kept = Arc::new(Nothing);
            let waker = kept.clone().into();
            let mut operation = begin(&supabase);
            let mut done = false;
            for _ in 0..polls {
                done |= operation.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
                if done {
                    break;
                }
                server.world.run(server.world.sleep(Duration::from_millis(300)));
            }
            drop((operation, waker));
            let session = server.world.run(supabase.session()).unwrap();
            // The scripted server has one session, which another sign-in ends.
            if name != "sign_in" {
                assert_eq!(session.is_none(), polls > 0 && name == "sign_out", "{name} after {polls} polls");
            }
            // What went on without it is over, too.
            server.world.run(server.world.sleep(Duration::from_secs(60)));
            assert_eq!(Arc::strong_count(&kept), 1, "{name} after {polls} polls: its task is kept");
            if done {
                break;
            }
            assert!(polls < 50, "{name} never ends");
        }
    }
}
