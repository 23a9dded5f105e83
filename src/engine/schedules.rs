//! A million random schedules of the engine against a simple model of what must never happen: a prompt under another user's
//! token, a token past its end, two mints at once for one conversation, a prompt sent again that may have arrived, a call
//! that settles twice or never.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;

use super::clock::Random;
use super::*;
use crate::{Error, Reason, Secret};

/// As many as a continuous integration has a minute for.
const SCHEDULES: u64 = 1_000_000;
const STEPS: usize = 24;
/// Tokens live 100 s.
const LIFE: f64 = 100_000.0;
const MAX_RETRIES: u32 = 2;

struct CallModel {
    /// Whose it may be: of whoever was signed in when it began. A source that cannot tell of changes is asked a little
    /// later, and who has come meanwhile without a word is taken for that user.
    may_be_of: Vec<Option<u32>>,
    is_stream: bool,
    is_paid: bool,
    sends: u32,
    may_have_arrived: bool,
}

enum Pending {
    Reading { user: Option<Option<u32>> },
    Mint { conversation: Id, user: u32, sent: Moment, headed: bool },
    Chat { call: Id, headed: bool, streams: bool },
}

struct World {
    engine: Engine,
    random: Random,
    now: Moment,
    reports: bool,
    user: Option<u32>,
    /// Names of tokens: whose, and when their mint request left.
    tokens: Vec<(u32, Moment)>,
    pending: HashMap<Id, Pending>,
    calls: HashMap<Id, CallModel>,
    conversations: Vec<Id>,
    seed: u64,
}

fn engine(reports: bool, seed: u64) -> Engine {
    let limits = Limits { session: 10e3, token: 15e3, first_byte: 120e3, idle: 60e3, content: 600e3, total: NEVER };
    let config = Config {
        gateway_url: "https://g".to_owned(),
        function_url: "https://f".to_owned(),
        api_key: None,
        margin: 60e3,
        limits,
        max_retries: MAX_RETRIES,
        largest_event: 1 << 20,
        source_reports: reports,
    };
    Engine::new(config, u128::from(seed).to_le_bytes())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new((u128::from(seed) << 64 | 77).to_le_bytes());
        let reports = random.fraction() < 0.5;
        let mut engine = engine(reports, seed);
        if reports {
            engine.user(Self::token_of(Some(0)).as_ref());
        }
        Self {
            engine,
            random,
            now: Moment { wall: 1e12, monotonic: 0.0 },
            reports,
            user: Some(0),
            tokens: vec![],
            pending: HashMap::new(),
            calls: HashMap::new(),
            conversations: vec![MAIN],
            seed,
        }
    }

    fn pick(&mut self, below: usize) -> usize {
        ((self.random.fraction() * below as f64) as usize).min(below.saturating_sub(1))
    }

    fn fail(&self, what: &str) -> ! {
        panic!("seed {}: {what}", self.seed)
    }

    /// Carries out what the engine says, and looks at it.
    fn perform(&mut self) {
        loop {
            let actions = self.engine.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.look(action);
            }
        }
    }

    fn look(&mut self, action: Action) {
        match action {
            Action::ReadSession { reading } => drop(self.pending.insert(reading, Pending::Reading { user: None })),
            Action::Send { request, owner, url, headers, .. } => {
                let bearer = headers.iter().find(|(name, _)| *name == "authorization").unwrap().1.clone();
                let named: u32 = bearer.rsplit('-').next().unwrap().parse().unwrap();
                if url == "https://f" {
                    let busy = |pending: &Pending| matches!(pending, Pending::Mint { conversation, .. } if *conversation == owner);
                    if self.pending.values().any(busy) {
                        self.fail("two mints at once for one conversation");
                    }
                    self.pending.insert(
                        request,
                        Pending::Mint { conversation: owner, user: named, sent: self.now, headed: false },
                    );
                    return;
                }
                let (user, born) = self.tokens[named as usize];
                let Some(call) = self.calls.get_mut(&owner) else { self.fail("a call that is over was sent") };
                call.sends += 1;
                let problem = if self.now.since(born) >= LIFE {
                    "a token was sent past its end"
                } else if !call.may_be_of.contains(&Some(user)) {
                    "a prompt was sent under another user's token"
                } else if self.reports && self.user != Some(user) {
                    "a token was sent for somebody who has left"
                } else if call.is_paid && call.may_have_arrived {
                    "a prompt was sent again that may have arrived"
                } else if call.sends > 2 + MAX_RETRIES {
                    "a call was sent too often"
                } else {
                    call.may_be_of = vec![Some(user)];
                    let streams = call.is_stream;
                    self.pending.insert(request, Pending::Chat { call: owner, headed: false, streams });
                    return;
                };
                self.fail(problem);
            }
            Action::Cancel { request } => {
                if self.pending.remove(&request).is_none() {
                    self.fail("what is not under way was cancelled");
                }
            }
            Action::Settle { call, result } => {
                if self.calls.remove(&call).is_none() {
                    self.fail("a call settled twice");
                }
                if result.is_err_and(|error| error.reason() == Reason::Internal) {
                    self.fail("an internal error");
                }
            }
            Action::Pump { .. } | Action::Open { .. } | Action::Interrupt { .. } => {}
        }
    }

    fn token_of(user: Option<u32>) -> Option<Secret> {
        user.map(|user| Secret::new(format!("session-{user}")))
    }

    fn step(&mut self) {
        match self.pick(16) {
            0..4 => self.begin(),
            4..11 => self.answer(),
            11 => {
                let ms = [500.0, 3e3, 20e3, 41e3, 130e3][self.pick(5)];
                self.now.monotonic += ms;
                self.now.wall += [ms, ms + 50e3, ms - 500e3][self.pick(3)];
                self.engine.wake(self.now);
            }
            12 => self.switch(),
            13 => {
                let ids: Vec<Id> = self.calls.keys().copied().collect();
                if !ids.is_empty() {
                    let id = ids[self.pick(ids.len())];
                    self.calls.remove(&id);
                    self.engine.abort(id);
                }
            }
            14 => {
                let conversation = self.pick_conversation();
                self.engine.clear_token(conversation);
            }
            _ => {
                let streams: Vec<Id> =
                    self.calls.iter().filter(|(_, call)| call.is_stream).map(|(id, _)| *id).collect();
                if !streams.is_empty() {
                    let id = streams[self.pick(streams.len())];
                    self.read(id);
                }
            }
        }
        self.perform();
    }

    fn begin(&mut self) {
        if self.conversations.len() < 3 && self.pick(4) == 0 {
            self.conversations.push(self.engine.converse(ConversationOptions::default()).unwrap());
        }
        let conversation = self.pick_conversation();
        let resource = Kind::Resource(Resource::get("/v1/models"));
        let raw = Kind::Raw("/v1/completions".to_owned());
        let kind = [Kind::Ask, Kind::Stream, Kind::Warm, resource, raw][self.pick(5)].clone();
        let is_raw = matches!(kind, Kind::Raw(_));
        let is_paid = is_raw || matches!(kind, Kind::Ask | Kind::Stream);
        let is_stream = kind == Kind::Stream;
        // Whoever reads a raw answer may never come to its end.
        let total = [30e3, NEVER][self.pick(if is_raw { 1 } else { 2 })];
        let may_be_of = vec![self.user];
        // What the engine does at once must find the call in the model.
        let body = is_paid.then_some(10);
        let begin = Begin { conversation, kind, body, total, max_retries: MAX_RETRIES };
        let id = self.engine.begin(self.now, begin);
        self.calls.insert(id, CallModel { may_be_of, is_stream, is_paid, sends: 0, may_have_arrived: false });
    }

    fn pick_conversation(&mut self) -> Id {
        let place = self.pick(self.conversations.len());
        self.conversations[place]
    }

    fn switch(&mut self) {
        self.user = [None, Some(0), Some(1), Some(2)][self.pick(4)];
        for call in self.calls.values_mut().filter(|call| !self.reports && call.sends == 0) {
            call.may_be_of.push(self.user);
        }
        // An application may tell, and one whose source reports changes does.
        if self.reports || self.pick(2) == 0 {
            self.engine.user(Self::token_of(self.user).as_ref());
        }
    }

    fn read(&mut self, id: Id) {
        let open = self
            .pending
            .values()
            .any(|pending| matches!(pending, Pending::Chat { call, headed: true, .. } if *call == id));
        let ended = self.engine.stream_has_ended(id);
        if (open || ended) && matches!(self.engine.read(self.now, id), Read::Ended(..)) {
            self.calls.remove(&id);
        }
    }

    fn answer(&mut self) {
        let mut ids: Vec<Id> = self.pending.keys().copied().collect();
        ids.sort_unstable();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.pick(ids.len())];
        let how = self.pick(10);
        match self.pending.remove(&id).unwrap() {
            Pending::Reading { user: None } => {
                self.engine.session_asked(id);
                self.pending.insert(id, Pending::Reading { user: Some(self.user) });
            }
            Pending::Reading { user: Some(user) } => {
                let answer = match how {
                    0 => Err(Error::new(Reason::SessionFailed, "broken")),
                    _ => Ok(Self::token_of(user)),
                };
                self.engine.session_read(self.now, id, answer);
            }
            Pending::Mint { conversation, user, sent, headed: false } => match how {
                0 => self.engine.broken(
                    self.now,
                    id,
                    &Broken { message: String::new(), unsent: false, is_defect: false },
                ),
                _ => {
                    let status = [403, 503].get(how - 1).copied().unwrap_or(200);
                    self.engine.head(self.now, id, Head { status, ..Head::default() });
                    self.pending.insert(id, Pending::Mint { conversation, user, sent, headed: true });
                }
            },
            Pending::Mint { user, sent, .. } => {
                let name = self.tokens.len();
                self.tokens.push((user, sent));
                let body = format!(r#"{{"token":"token-{name}","ttl":100}}"#);
                self.engine.bytes(self.now, id, body.as_bytes(), Want::Chunks, &mut ());
                self.engine.end(self.now, id, Want::Chunks, &mut ());
            }
            Pending::Chat { call, headed: false, streams } => match how {
                0 | 1 => {
                    let unsent = how == 0;
                    if let Some(model) = self.calls.get_mut(&call) {
                        model.may_have_arrived |= !unsent;
                    }
                    self.engine.broken(self.now, id, &Broken { message: String::new(), unsent, is_defect: false });
                }
                _ => {
                    let status = [401, 503, 429, 403, 200, 200, 200, 200][how - 2];
                    self.engine.head(self.now, id, Head { status, ..Head::default() });
                    self.pending.insert(id, Pending::Chat { call, headed: true, streams });
                }
            },
            Pending::Chat { call, streams, .. } => {
                let piece: &[u8] = match (streams, how) {
                    (true, 0..5) => b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n",
                    (true, 5) => b"data: {\"error\":{\"message\":\"no\"}}\n\n",
                    (true, 6) => b"data: [DONE]\n\n",
                    _ => br#"{"choices":[{"message":{"content":"Hi"}}]}"#,
                };
                self.pending.insert(id, Pending::Chat { call, headed: true, streams });
                self.engine.bytes(self.now, id, piece, Want::Chunks, &mut ());
                self.perform();
                if how >= 7 && self.pending.remove(&id).is_some() {
                    self.engine.end(self.now, id, Want::Chunks, &mut ());
                }
            }
        }
    }

    /// Whatever is under way ends by its limits, if by nothing else.
    fn finish(&mut self) {
        for _ in 0..60 {
            self.now.monotonic += 60e3;
            self.now.wall += 60e3;
            self.engine.wake(self.now);
            self.perform();
            let streams: Vec<Id> = self.calls.iter().filter(|(_, call)| call.is_stream).map(|(id, _)| *id).collect();
            streams.into_iter().for_each(|id| self.read(id));
            self.perform();
            let readings: Vec<Id> =
                self.pending.iter().filter(|(_, p)| matches!(p, Pending::Reading { .. })).map(|(id, _)| *id).collect();
            for id in readings {
                self.pending.remove(&id);
                self.engine.session_read(self.now, id, Ok(None));
                self.perform();
            }
            if self.calls.is_empty() {
                break;
            }
        }
        if !self.calls.is_empty() {
            self.fail("a call hangs");
        }
    }
}

#[test]
fn no_schedule_breaks_the_engine() {
    for seed in 0..SCHEDULES {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.finish();
    }
}
