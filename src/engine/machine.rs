//! The engine itself: which event changes what, and what is to be done about it.

use super::call::{Begin, Call, Phase, Reply};
use super::clock::{Limits, Moment, NEVER, Random};
use super::conversation::{Conversation, ConversationOptions};
use super::exchange::{Broken, FUNCTION, Head, REFUSAL_LIMIT, spelt, timed_out};
use super::receive::{Receive, Want};
use super::session::{Identity, Outdated, Session, user_changed};
use super::stream::{End, Outcome};
use super::table::{Id, Table};
use super::token::{Mint, MintPhase};
use super::trace::Trace;
use crate::{Error, Reason, Secret};

/// The conversation that every client begins with: its own session.
pub(crate) const MAIN: Id = 1;

/// What an engine is told when it is made. Everything in it was checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Without `/v1` and without a slash at its end.
    pub(crate) gateway_url: String,
    pub(crate) function_url: String,
    pub(crate) api_key: Option<String>,
    pub(crate) margin: f64,
    pub(crate) limits: Limits,
    pub(crate) max_retries: u32,
    pub(crate) largest_event: usize,
    /// Changes of the user are told ([`Engine::user`]), so the source need not be asked at every call.
    pub(crate) source_reports: bool,
}

/// What a face is to do.
pub(crate) enum Action {
    /// Ask the session source, tell [`Engine::session_asked`] as that is done, and later [`Engine::session_read`].
    ReadSession { reading: Id },
    /// Send this. `owner` is the call, or the conversation whose token is minted.
    Send { request: Id, owner: Id, method: &'static str, url: String, headers: Vec<(&'static str, String)>, body: Body },
    /// Read the body to its end by itself.
    Pump { request: Id },
    /// Cancel it, on the wire too. Nothing of it is told any more.
    Cancel { request: Id },
    /// The stream is open: its bytes are read as they are asked for.
    Open { call: Id, request: Id, trace: Trace },
    /// What the stream has not handed out is void; [`Engine::read`] tells why.
    Interrupt { call: Id },
    /// The call is over.
    Settle { call: Id, result: Result<Reply, Error> },
}

/// The body of a request.
pub(crate) enum Body {
    None,
    /// The one that the face keeps for the call.
    OfCall,
    Json(String),
}

/// What a stream's reader gets next.
pub(crate) enum Read {
    /// Whatever the network brings.
    Bytes,
    /// Nothing more.
    Ended(End, Trace),
}

/// What may be known of the current token.
pub(crate) struct TokenState {
    pub(crate) session_id: String,
    pub(crate) ttl: f64,
    pub(crate) remaining: f64,
}

/// Whose request it is.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    Call(Id),
    Mint(Id),
    /// Only its end is waited for, until this moment.
    Drain(f64),
}

pub(crate) struct Engine {
    pub(super) config: Config,
    pub(super) random: Random,
    pub(super) session: Session,
    pub(super) conversations: Table<Conversation>,
    pub(super) calls: Table<Call>,
    pub(super) requests: Table<Owner>,
    last_id: Id,
    pub(super) actions: Vec<Action>,
    /// No limit passes before this moment of the monotonic clock.
    earliest: f64,
}

/// Events.
impl Engine {
    pub(crate) fn new(config: Config, seed: [u8; 16]) -> Self {
        let mut conversations = Table::default();
        conversations.set(MAIN, Conversation::default());
        Self {
            config,
            random: Random::new(seed),
            session: Session::default(),
            conversations,
            calls: Table::default(),
            requests: Table::default(),
            last_id: MAIN,
            actions: Vec::new(),
            earliest: NEVER,
        }
    }

    /// What is to be done now, in this order.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub(crate) fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The source tells of every change ([`Engine::user`]), or it does not.
    #[cfg(feature = "client")]
    pub(crate) fn believe_source(&mut self, reports: bool) {
        self.config.source_reports = reports;
    }

    /// Nobody carries out a job any more: a reading, or a mint by its conversation.
    #[cfg(feature = "client")]
    pub(crate) fn abandon(&mut self, now: Moment, job: Id, error: Error) {
        self.session_read(now, job, Err(error.clone()));
        if let Some(mint) = self.conversations.get_mut(job).and_then(|conversation| conversation.mint.take()) {
            mint.into_request().into_iter().for_each(|request| self.cancel(request));
            self.mint_failed(now, job, error.clone());
        }
        if let Some(Owner::Call(id)) = self.requests.get(job).copied() {
            self.fail(id, Outcome::Failed, error);
        }
        self.cancel(job);
    }

    /// Who reads the body of this request: a call, a conversation that mints, or nobody but the request itself.
    pub(crate) fn owner(&self, request: Id) -> Option<Id> {
        Some(match self.requests.get(request)? {
            Owner::Call(id) | Owner::Mint(id) => *id,
            Owner::Drain(_) => request,
        })
    }

    /// A conversation of its own. It belongs to whoever is signed in now, or at its first call.
    pub(crate) fn converse(&mut self, options: ConversationOptions) -> Result<Id, Error> {
        options.check()?;
        let session_id = options.session_id.unwrap_or_else(|| self.random.uuid());
        let options = ConversationOptions { session_id: Some(session_id), ..options };
        let id = self.next_id();
        self.conversations.set(id, Conversation::of(options, self.session.identity().cloned()));
        Ok(id)
    }

    /// Nobody will use the conversation again.
    pub(crate) fn forget(&mut self, conversation: Id) {
        if let Some(request) = self.conversations.remove(conversation).and_then(Conversation::into_request) {
            self.cancel(request);
        }
    }

    /// A call begins.
    pub(crate) fn begin(&mut self, now: Moment, begin: Begin) -> Id {
        let id = self.next_id();
        let Begin { conversation, kind, body, total, max_retries } = begin;
        let conversation_state = self.conversations.get(conversation);
        let meter = conversation_state.and_then(|conversation| conversation.meter.as_ref()).filter(|_| body.is_some());
        let refused = meter.and_then(|meter| meter.check().err());
        let call = Call {
            conversation,
            kind,
            body,
            epoch: self.session.epoch,
            bound: self.config.source_reports,
            phase: Phase::Token,
            retries_left: max_retries,
            attempt: 0,
            renewed: false,
            restarts: 0,
            generation: 0,
            minted: false,
            total: now.monotonic + total,
            total_limit: total,
            due: NEVER,
            trace: Trace::default(),
            spent: None,
        };
        self.watch(call.total);
        self.calls.set(id, call);
        match refused {
            Some(error) => self.settle(id, Err(error)),
            None => self.proceed(now, id),
        }
        id
    }

    /// The caller has gone.
    pub(crate) fn abort(&mut self, id: Id) {
        if let Some(mut call) = self.calls.remove(id) {
            let spent = call.spent.take();
            self.spend(call.conversation, spent);
            if let Some(exchange) = call.exchange() {
                self.cancel(exchange.request);
            }
        }
    }

    /// The application says who is signed in now.
    pub(crate) fn user(&mut self, access_token: Option<&Secret>) {
        if self.session.notice(access_token.map(Identity::of)) {
            self.leave();
        }
    }

    /// The session source was called just now.
    pub(crate) fn session_asked(&mut self, reading: Id) {
        self.session.asked(reading);
    }

    /// The session source has answered.
    pub(crate) fn session_read(&mut self, now: Moment, reading: Id, answer: Result<Option<Secret>, Error>) {
        let Some((number, changes, due)) = self.session.end(reading) else { return };
        let answer = answer.map(|token| token.filter(|token| !token.expose().is_empty()));
        let answer = answer.and_then(|token| {
            let identity = token.as_ref().map(|token| self.session.identify(token)).transpose()?;
            Ok((token, identity))
        });
        let (answer, found) = match answer {
            Ok((token, identity)) => (Ok(token), self.session.found(identity, changes)),
            Err(error) => (Err(error), Ok(false)),
        };
        let waiting = |wanted: u32| wanted <= number;
        let calls = self.calls.ids(&|call| matches!(call.phase, Phase::Session(wanted) if waiting(wanted)));
        let fits = |mint: &Mint| matches!(mint.phase, MintPhase::Session(wanted) if waiting(wanted));
        let mints = self.conversations.ids(&|conversation| conversation.mint.as_ref().is_some_and(fits));
        let changed = match found {
            Ok(changed) => changed,
            // It may belong to somebody else by now, so those who wait for it get a fresh one.
            Err(Outdated) if !(calls.is_empty() && mints.is_empty()) => return self.begin_reading(due),
            Err(Outdated) => false,
        };
        for id in &calls {
            let Some(call) = self.calls.get_mut(*id) else { continue };
            if !std::mem::replace(&mut call.bound, true) {
                call.epoch = self.session.epoch;
            }
        }
        if changed {
            self.leave();
        }
        let session =
            answer.and_then(|token| token.ok_or_else(|| Error::new(Reason::SignedOut, "there is no session")));
        match session {
            Ok(session) => {
                for id in mints {
                    self.ask_function(now, id, Some(session.clone()));
                }
                for id in calls {
                    self.want_token(now, id, Some(&session));
                }
            }
            Err(error) => {
                mints.into_iter().for_each(|id| self.mint_failed(now, id, error.clone()));
                calls.into_iter().for_each(|id| self.settle(id, Err(error.clone())));
            }
        }
        let is_later = |wanted: u32| wanted > number;
        if self.calls.iter().any(|(_, call)| matches!(call.phase, Phase::Session(wanted) if is_later(wanted))) {
            self.session.next();
            self.begin_reading(now.monotonic + self.config.limits.session);
        }
    }

    /// The head of an answer has come.
    pub(crate) fn head(&mut self, now: Moment, request: Id, head: Head) {
        let is_success = (200..300).contains(&head.status);
        match self.requests.get(request).copied() {
            Some(Owner::Mint(id)) => {
                let Some(mint) = self.conversations.get_mut(id).and_then(|conversation| conversation.mint.as_mut())
                else {
                    return;
                };
                let MintPhase::Head(mut exchange) = std::mem::replace(&mut mint.phase, MintPhase::Wait) else { return };
                exchange.head = head;
                if is_success {
                    mint.phase = MintPhase::Body(exchange);
                } else {
                    mint.phase = MintPhase::Refusal(exchange);
                    mint.due = mint.due.min(now.monotonic + REFUSAL_LIMIT);
                    let due = mint.due;
                    self.watch(due);
                }
                self.actions.push(Action::Pump { request });
            }
            Some(Owner::Call(id)) => self.call_head(now, id, head, is_success),
            Some(Owner::Drain(_)) | None => {}
        }
    }

    /// Bytes of a body have come. What a stream makes of them goes to `out`.
    pub(crate) fn bytes(&mut self, now: Moment, request: Id, bytes: &[u8], want: Want, out: &mut dyn Receive) {
        match self.requests.get(request).copied() {
            Some(Owner::Mint(id)) => {
                let Some(exchange) = self.conversations.get_mut(id).and_then(Conversation::mint_body) else { return };
                if exchange.take(bytes).is_err() {
                    let error = exchange.overlong(FUNCTION);
                    self.cancel(request);
                    self.mint_attempt_failed(now, id, error);
                }
            }
            Some(Owner::Call(id)) => self.call_bytes(now, id, bytes, want, out),
            Some(Owner::Drain(_)) | None => {}
        }
    }

    /// A body is whole.
    pub(crate) fn end(&mut self, now: Moment, request: Id, want: Want, out: &mut dyn Receive) {
        match self.requests.remove(request) {
            Some(Owner::Mint(id)) => self.mint_end(now, id),
            Some(Owner::Call(id)) => self.call_end(now, id, want, out),
            Some(Owner::Drain(_)) | None => {}
        }
    }

    /// No answer came, or it broke off.
    pub(crate) fn broken(&mut self, now: Moment, request: Id, broken: &Broken) {
        match self.requests.remove(request) {
            Some(Owner::Mint(id)) => {
                let mint = self.conversations.get_mut(id).and_then(|conversation| conversation.mint.as_mut());
                let error = match mint.map(|mint| &mint.phase) {
                    Some(MintPhase::Head(exchange)) => exchange.unanswered(FUNCTION, broken),
                    Some(MintPhase::Body(exchange)) => exchange.half_answered("the token function's reply", broken),
                    // A refusal whose words break off is still a refusal.
                    Some(MintPhase::Refusal(exchange)) => exchange.refusal(FUNCTION, now),
                    Some(MintPhase::Session(_) | MintPhase::Wait) | None => return,
                };
                self.mint_attempt_failed(now, id, error);
                if broken.unsent {
                    // There is no server to be spared, and the next call may come right after the network.
                    self.conversations.get_mut(id).into_iter().for_each(Conversation::forgive);
                }
            }
            Some(Owner::Call(id)) => self.call_broken(now, id, broken),
            Some(Owner::Drain(_)) | None => {}
        }
    }

    /// Somebody wants more of a stream.
    pub(crate) fn read(&mut self, now: Moment, id: Id) -> Read {
        let limits = self.config.limits;
        let Some(call) = self.calls.get_mut(id) else {
            return Read::Ended(End { outcome: Outcome::Aborted, error: None }, Trace::default());
        };
        if let Phase::Stream(streaming) = &mut call.phase {
            if !std::mem::replace(&mut streaming.waiting, true) {
                streaming.waiting_since = now.monotonic;
                call.due = now.monotonic + limits.idle.min(streaming.content_left);
                let due = call.due;
                self.watch(due);
            }
            return Read::Bytes;
        }
        let trace = std::mem::take(&mut call.trace);
        match self.calls.remove(id).map(|call| call.phase) {
            Some(Phase::Ended(end)) => Read::Ended(end, trace),
            _ => {
                let message = "a call that is no open stream was read";
                Read::Ended(End::failed(Outcome::Failed, Reason::Internal, message), trace)
            }
        }
    }

    /// Limits may have passed.
    pub(crate) fn wake(&mut self, now: Moment) {
        let passed = |due: f64| due <= now.monotonic;
        if passed(self.session.due())
            && let Some(reading) = self.session.reading()
        {
            let limit = self.config.limits.session;
            let error = timed_out(
                Reason::SessionTimeout,
                limit,
                spelt("the session source (Timeouts::session)", "the session source (timeouts.sessionMs)"),
            );
            self.session_read(now, reading, Err(error));
        }
        let due = |conversation: &Conversation| conversation.mint.as_ref().is_some_and(|mint| passed(mint.due));
        for id in self.conversations.ids(&due) {
            self.mint_is_due(now, id);
        }
        for id in self.calls.ids(&|call| passed(call.due) || passed(call.total)) {
            self.call_is_due(now, id);
        }
        for request in self.requests.ids(&|owner| matches!(owner, Owner::Drain(due) if passed(*due))) {
            self.cancel(request);
        }
        let calls = self.calls.iter().map(|(_, call)| call.due.min(call.total));
        let mints = self.conversations.iter().filter_map(|(_, conversation)| Some(conversation.mint.as_ref()?.due));
        let drains = self.requests.iter().map(|(_, owner)| if let Owner::Drain(due) = owner { *due } else { NEVER });
        self.earliest = calls.chain(mints).chain(drains).fold(self.session.due(), f64::min);
    }
}

/// Questions.
impl Engine {
    /// No limit passes before this.
    pub(crate) fn earliest(&self) -> f64 {
        self.earliest
    }

    /// Nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.requests.is_empty() && self.session.reading().is_none()
    }

    /// Is the call still under way?
    pub(crate) fn has_call(&self, id: Id) -> bool {
        self.calls.get(id).is_some()
    }

    #[cfg(all(test, not(target_arch = "wasm32")))]
    pub(crate) fn stream_has_ended(&self, id: Id) -> bool {
        self.calls.get(id).is_some_and(|call| matches!(call.phase, Phase::Ended(_)))
    }

    /// Changes with the user.
    #[cfg(feature = "client")]
    pub(crate) fn epoch(&self) -> u32 {
        self.session.epoch
    }

    pub(crate) fn trace(&self, id: Id) -> Option<&Trace> {
        self.calls.get(id).map(|call| &call.trace)
    }

    pub(crate) fn token(&self, now: Moment, conversation: Id) -> Option<TokenState> {
        let token = self.conversations.get(conversation)?.usable(now, self.session.epoch)?;
        Some(TokenState { session_id: token.session_id.clone(), ttl: token.ttl, remaining: token.remaining(now) })
    }

    /// Forgets the current token.
    pub(crate) fn clear_token(&mut self, conversation: Id) {
        self.conversations.get_mut(conversation).into_iter().for_each(Conversation::clear);
    }

    /// The session id that the next call will carry, if it is known already.
    pub(crate) fn session_id(&self, conversation: Id) -> Option<&String> {
        self.conversations.get(conversation)?.session_id(self.session.epoch)
    }

    /// When the next limit of one thing under way passes: a call, a mint (by its conversation), a reading or a drain. A call
    /// watches what it waits for, too: whoever else should may be in a runtime that nobody drives.
    #[cfg(feature = "client")]
    pub(crate) fn due(&self, id: Id) -> f64 {
        let mint_of = |id| Some(self.conversations.get(id)?.mint.as_ref()?.due);
        let call = self.calls.get(id).map(|call| {
            let due = call.due.min(call.total);
            match call.phase {
                _ if cfg!(target_arch = "wasm32") => due,
                Phase::Session(_) => due.min(self.session.due()),
                Phase::Token => due.min(self.session.due()).min(mint_of(call.conversation).unwrap_or(NEVER)),
                _ => due,
            }
        });
        let mint = || mint_of(id);
        let drain = || match self.requests.get(id)? {
            Owner::Drain(due) => Some(*due),
            Owner::Call(_) | Owner::Mint(_) => None,
        };
        let reading = || self.session.reading().filter(|reading| *reading == id).map(|_| self.session.due());
        call.or_else(mint).or_else(drain).or_else(reading).unwrap_or(NEVER)
    }

    /// Is this under way: a call, a mint (by its conversation), a reading or a drain?
    #[cfg(feature = "client")]
    pub(crate) fn is_under_way(&self, id: Id) -> bool {
        self.calls.get(id).is_some()
            || self.conversations.get(id).is_some_and(|conversation| conversation.mint.is_some())
            || matches!(self.requests.get(id), Some(Owner::Drain(_)))
            || self.session.reading() == Some(id)
    }
}

/// Sessions, requests, limits.
impl Engine {
    /// The user has changed: what was of the one before is over.
    pub(super) fn leave(&mut self) {
        let epoch = self.session.epoch;
        let requests: Vec<_> =
            self.conversations.iter_mut().filter_map(|(_, conversation)| conversation.leave(epoch)).collect();
        requests.into_iter().for_each(|request| self.cancel(request));
        for id in self.calls.ids(&|call| call.epoch != epoch) {
            self.fail(id, Outcome::Failed, user_changed());
        }
    }

    pub(super) fn join_reading(&mut self, now: Moment) -> u32 {
        let (number, is_new) = self.session.join(self.config.source_reports);
        if is_new {
            self.begin_reading(now.monotonic + self.config.limits.session);
        }
        number
    }

    pub(super) fn begin_reading(&mut self, due: f64) {
        let reading = self.next_id();
        self.session.begin(reading, due);
        self.watch(due);
        self.actions.push(Action::ReadSession { reading });
    }

    pub(super) fn cancel(&mut self, request: Id) {
        if self.requests.remove(request).is_some() {
            self.actions.push(Action::Cancel { request });
        }
    }

    pub(super) fn watch(&mut self, due: f64) {
        self.earliest = self.earliest.min(due);
    }

    pub(super) fn next_id(&mut self) -> Id {
        self.last_id += 1;
        self.last_id
    }
}
