//! Generated cases, natively only. The bytes of streams in any split; and the token cache under any interleaving of calls, cancellations, failures, users and clocks, against a model of what
//! must never happen: two mints at once, a token past its end, a token of somebody else, a call that hangs.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use behest_client::client::Client;
use behest_client::client::transport::{Now, Transport};
use behest_client::testing::{FUNCTION, Reply, World, access_token, bundle, default_reply, header};
use behest_client::{Error, Reason};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Call,
    Poll(usize),
    Cancel(usize),
    Pass(u64),
    SleepMachine(u64),
    SetClockBack(u64),
    MintsSucceed,
    MintsFail,
    MintsHang,
    SessionsTake(u64),
    GatewayRefusesOnce,
    SignIn(u8),
    SignOut,
    Invalidate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Call),
        8 => (0..8usize).prop_map(Step::Poll),
        2 => (0..8usize).prop_map(Step::Cancel),
        3 => prop_oneof![Just(1), Just(3), Just(30), Just(70), Just(200)].prop_map(Step::Pass),
        1 => prop_oneof![Just(50), Just(100)].prop_map(Step::SleepMachine),
        1 => Just(Step::SetClockBack(500)),
        2 => Just(Step::MintsSucceed),
        1 => Just(Step::MintsFail),
        1 => Just(Step::MintsHang),
        1 => Just(Step::GatewayRefusesOnce),
        1 => (0..3u64).prop_map(Step::SessionsTake),
        2 => (0..3u8).prop_map(Step::SignIn),
        1 => Just(Step::SignOut),
        1 => Just(Step::Invalidate),
    ]
}

#[derive(Clone, Copy)]
enum Mints {
    Succeed,
    Fail,
    Hang,
}

/// Tokens live 100 s. What a token is good for is told by its name: who asked for it, and when.
const LIFE: Duration = Duration::from_secs(100);

type Ask = Pin<Box<dyn Future<Output = Result<String, Error>>>>;

struct Model {
    world: World,
    client: Client,
    calls: Vec<Ask>,
    /// Seconds.
    passed: u64,
}

/// What the scripted servers are told to do, and what they have seen.
#[derive(Clone)]
struct Servers(std::sync::Arc<std::sync::Mutex<State>>);

struct State {
    mints: Mints,
    refuse_next: bool,
    refusals: usize,
    user: Option<u8>,
    /// What has happened so far that may end a call.
    seen: Vec<Reason>,
    tokens: Vec<(u8, Now)>,
    wrong: Vec<String>,
}

impl Model {
    fn new() -> (Self, Servers) {
        let world = World::new();
        let state = State {
            mints: Mints::Succeed,
            refuse_next: false,
            refusals: 0,
            user: Some(0),
            seen: vec![],
            tokens: vec![],
            wrong: vec![],
        };
        let servers = Servers(std::sync::Arc::new(std::sync::Mutex::new(state)));
        world.signed_in("0", "login");
        let (script, clock) = (servers.clone(), world.clone());
        world.serve(move |request, log| {
            let now = clock.now();
            let mut state = script.0.lock().unwrap();
            let bearer = header(request, "authorization").unwrap_or_default();
            if request.url != FUNCTION {
                let token: usize = bearer.trim_start_matches("Bearer token-").parse().unwrap();
                let (user, born) = state.tokens[token];
                if state.user != Some(user) {
                    let wrong = format!("{user}'s token was sent while {:?} is signed in", state.user);
                    state.wrong.push(wrong);
                }
                if now.since(born) >= LIFE {
                    state.wrong.push(format!("a token was sent {:?} after its mint", now.since(born)));
                }
                if std::mem::take(&mut state.refuse_next) {
                    // Once is repeated with a new token, unless that is refused too.
                    state.refusals += 1;
                    if state.refusals > 1 {
                        state.seen.push(Reason::InvalidToken);
                    }
                    return Reply::json(401, "{}");
                }
                return default_reply(request, log);
            }
            let user = (0..3).find(|user| bearer.ends_with(access_token(&user.to_string(), "login").expose().as_str()));
            state.tokens.push((user.expect("a known user"), now));
            match state.mints {
                Mints::Succeed => {
                    bundle(&format!("token-{}", state.tokens.len() - 1), LIFE.as_secs()).delayed(Duration::from_secs(2))
                }
                Mints::Fail => Reply::json(403, "{}").delayed(Duration::from_secs(1)),
                Mints::Hang => Reply::hang(),
            }
        });
        let client = world.client();
        (Self { world, client, calls: vec![], passed: 0 }, servers)
    }

    fn take(&mut self, step: Step, servers: &Servers) {
        let slot = |n: usize, len: usize| (len > 0).then(|| n % len);
        match step {
            Step::Call => {
                let client = self.client.clone();
                self.calls.push(Box::pin(async move { client.ask("Hi!").await }));
            }
            Step::Poll(n) => {
                let Some(slot) = slot(n, self.calls.len()) else { return };
                if let Poll::Ready(answer) = self.world.poll_once(self.calls[slot].as_mut()) {
                    drop(self.calls.swap_remove(slot));
                    servers.judge(answer);
                }
            }
            Step::Cancel(n) => {
                let Some(slot) = slot(n, self.calls.len()) else { return };
                drop(self.calls.swap_remove(slot));
            }
            Step::Pass(seconds) => {
                // For calls that nobody polls meanwhile, the limits of the session source and of the function pass, or the
                // token's life; if not at once, then little by little.
                self.passed += seconds;
                if self.passed >= 10 {
                    servers.may_cause(&[Reason::SessionTimeout, Reason::Timeout, Reason::SessionFailed]);
                }
                self.world.pass(seconds);
            }
            Step::SleepMachine(seconds) => self.world.sleep_machine(seconds),
            Step::SetClockBack(seconds) => self.world.set_clock_back(seconds),
            Step::MintsSucceed => servers.0.lock().unwrap().mints = Mints::Succeed,
            Step::MintsFail => {
                servers.may_cause(&[Reason::Forbidden]);
                servers.0.lock().unwrap().mints = Mints::Fail;
            }
            Step::MintsHang => {
                servers.may_cause(&[Reason::Timeout]);
                servers.0.lock().unwrap().mints = Mints::Hang;
            }
            Step::SessionsTake(seconds) => self.world.sessions_take(Duration::from_secs(seconds)),
            Step::GatewayRefusesOnce => servers.0.lock().unwrap().refuse_next = true,
            Step::SignIn(user) => {
                servers.may_cause(&[Reason::UserChanged]);
                servers.0.lock().unwrap().user = Some(user);
                self.world.signed_in(&user.to_string(), "login");
                self.client.session_changed(Some(&access_token(&user.to_string(), "login")));
            }
            Step::SignOut => {
                servers.may_cause(&[Reason::UserChanged, Reason::SignedOut]);
                servers.0.lock().unwrap().user = None;
                self.world.signed_out();
                self.client.session_changed(None);
            }
            Step::Invalidate => {
                // Again and again during one call.
                servers.may_cause(&[Reason::SessionFailed]);
                self.client.invalidate_token();
            }
        }
    }

    /// Everything that is left must settle.
    fn finish(self, servers: &Servers) {
        // Calls that are held but not polled stand in nobody's way.
        servers.judge(self.world.run(self.client.ask("Hi!")));
        for answer in self.world.run(futures_util::future::join_all(self.calls)) {
            servers.judge(answer);
        }
        let after = self.world.run(async {
            // Longer than a token lives, and than any cool-down.
            self.world.sleep(2 * LIFE).await;
            self.client.ask("Hi!").await
        });
        let mut state = servers.0.lock().unwrap();
        let expected = match (state.user, state.mints) {
            (None, _) => Some(Reason::SignedOut),
            (_, Mints::Succeed) => None,
            (_, Mints::Fail) => Some(Reason::Forbidden),
            (_, Mints::Hang) => Some(Reason::Timeout),
        };
        let got = after.err().map(|error| error.reason());
        if got != expected {
            state.wrong.push(format!("in the end {got:?} instead of {expected:?}"));
        }
    }
}

impl Servers {
    /// From now on calls may end so.
    fn may_cause(&self, reasons: &[Reason]) {
        self.0.lock().unwrap().seen.extend(reasons);
    }

    /// An answer is good; an error must be one that something before it can have caused.
    fn judge(&self, answer: Result<String, Error>) {
        let mut state = self.0.lock().unwrap();
        if let Err(error) = answer
            && !state.seen.contains(&error.reason())
        {
            state.wrong.push(format!("nothing that happened explains: {error}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_breaks_the_cache(steps in prop::collection::vec(step(), 1..40)) {
        let (mut model, servers) = Model::new();
        let world = model.world.clone();
        for step in steps {
            model.take(step, &servers);
        }
        model.finish(&servers);
        let state = servers.0.lock().unwrap();
        prop_assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        prop_assert!(world.log(|log| log.most_mints_open) <= 1, "two mints at once");
    }
}
