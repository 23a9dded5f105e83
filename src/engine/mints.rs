//! What becomes of mints: from the session to the token that all who wait go on with.

use super::call::Phase;
use super::clock::{Moment, NEVER};
use super::exchange::{Exchange, FUNCTION, bearer, spelt, timed_out};
use super::machine::{Action, Body, Config, Engine, Owner};
use super::retry::wait_before_retry;
use super::table::Id;
use super::token::{Mint, MintPhase};
use crate::json::quote;
use crate::wire::TokenReply;
use crate::{Error, Reason, Secret};

impl Engine {
    pub(super) fn start_mint(&mut self, now: Moment, id: Id, session: Option<Secret>) {
        let epoch = self.session.epoch;
        let phase = match session {
            Some(_) => MintPhase::Wait,
            None => MintPhase::Session(self.join_reading(now)),
        };
        let Some(conversation) = self.conversations.get_mut(id) else { return };
        conversation.mint = Some(Mint {
            phase,
            epoch,
            attempt: 0,
            due: NEVER,
            discard: false,
            session: Secret::new(String::new()),
            began: now,
            asked: now,
        });
        if session.is_some() {
            self.ask_function(now, id, session);
        }
    }

    /// Sends the mint request, with this session or with the one of the attempt before.
    pub(super) fn ask_function(&mut self, now: Moment, id: Id, session: Option<Secret>) {
        let request = self.next_id();
        let Config { function_url, api_key, limits, .. } = &self.config;
        let epoch = self.session.epoch;
        let Some(conversation) = self.conversations.get_mut(id) else { return };
        let session_id = conversation.session_id(epoch).cloned();
        let Some(mint) = &mut conversation.mint else { return };
        if let Some(session) = session {
            (mint.session, mint.epoch, mint.asked) = (session, epoch, now);
        }
        let mut headers = vec![("authorization", bearer(&mint.session))];
        headers.extend(api_key.iter().map(|key| ("apikey", key.clone())));
        let mut body = Body::None;
        if let Some(session_id) = session_id {
            // `wire::TokenRequest`, written by hand: one field is not worth a serializer in the browser.
            let mut json = r#"{"session_id":"#.to_owned();
            quote(&session_id, &mut json);
            json.push('}');
            headers.push(("content-type", "application/json".to_owned()));
            body = Body::Json(json);
        }
        mint.phase = MintPhase::Head(Exchange::new(request, now, &mint.session, function_url));
        mint.due = now.monotonic + limits.token;
        let (due, url) = (mint.due, function_url.clone());
        self.watch(due);
        self.requests.set(request, Owner::Mint(id));
        self.actions.push(Action::Send { request, owner: id, method: "POST", url, headers, body });
    }

    pub(super) fn mint_end(&mut self, now: Moment, id: Id) {
        let Some(conversation) = self.conversations.get_mut(id) else { return };
        let Some(mut mint) = conversation.mint.take() else { return };
        let error = match std::mem::replace(&mut mint.phase, MintPhase::Wait) {
            MintPhase::Body(exchange) => match TokenReply::parse(&exchange.body) {
                Ok(reply) => {
                    if !mint.discard {
                        conversation.store(reply, &mint, exchange.sent, now, &mut self.random);
                    }
                    return self.minted(now, id, &mint.session);
                }
                Err(error) => exchange.tell(error.with_status(exchange.head.status)),
            },
            MintPhase::Refusal(exchange) => exchange.refusal(FUNCTION, now),
            phase @ (MintPhase::Session(_) | MintPhase::Head(_) | MintPhase::Wait) => {
                mint.phase = phase;
                conversation.mint = Some(mint);
                return;
            }
        };
        conversation.mint = Some(mint);
        self.mint_attempt_failed(now, id, error);
    }

    /// Everyone who waited for this mint goes on.
    pub(super) fn minted(&mut self, now: Moment, id: Id, session: &Secret) {
        for call in self.calls_waiting(id) {
            let conversation = self.conversations.get(id);
            if conversation.is_some_and(|conversation| conversation.usable(now, self.session.epoch).is_some()) {
                self.go_out(now, call);
            } else {
                self.want_token(now, call, Some(session));
            }
        }
    }

    pub(super) fn mint_attempt_failed(&mut self, now: Moment, id: Id, error: Error) {
        let fraction = self.random.fraction();
        let max_retries = self.config.max_retries;
        let mint = self.conversations.get_mut(id).and_then(|conversation| conversation.mint.as_mut());
        let Some(mint) = mint else { return };
        // The function speaks our own vocabulary; any other server's 401 means that it did not accept the session.
        let error = match (error.code().and_then(Reason::from_server), error.status()) {
            (Some(reason), Some(_)) => error.with_reason(reason),
            (None, Some(401)) => error.with_reason(Reason::SessionRefused),
            _ => error,
        };
        let wait = wait_before_retry(&error, true, mint.attempt, fraction).filter(|_| mint.attempt < max_retries);
        let Some(wait) = wait else { return self.mint_failed(now, id, error) };
        mint.attempt += 1;
        mint.phase = MintPhase::Wait;
        mint.due = now.monotonic + wait;
        let due = mint.due;
        self.watch(due);
    }

    pub(super) fn mint_failed(&mut self, now: Moment, id: Id, error: Error) {
        let (fraction, changes) = (self.random.fraction(), self.session.changes);
        let Some(conversation) = self.conversations.get_mut(id) else { return };
        conversation.mint = None;
        conversation.remember(&error, now, changes, fraction);
        for call in self.calls_waiting(id) {
            self.without_token(now, call, error.clone());
        }
    }

    pub(super) fn mint_is_due(&mut self, now: Moment, id: Id) {
        let limit = self.config.limits.token;
        let Some(mint) = self.conversations.get_mut(id).and_then(|conversation| conversation.mint.as_mut()) else {
            return;
        };
        let (request, error) = match &mint.phase {
            MintPhase::Wait => return self.ask_function(now, id, None),
            MintPhase::Session(_) => return,
            MintPhase::Head(exchange) | MintPhase::Body(exchange) => {
                let error = timed_out(
                    Reason::Timeout,
                    limit,
                    spelt("the token function (Timeouts::token)", "the token function (timeouts.tokenMs)"),
                );
                (exchange.request, exchange.tell(error))
            }
            MintPhase::Refusal(exchange) => (exchange.request, exchange.refusal(FUNCTION, now)),
        };
        self.cancel(request);
        self.mint_attempt_failed(now, id, error);
    }

    /// Those who wait for the conversation's token. Whoever goes on waiting says so anew.
    fn calls_waiting(&mut self, conversation: Id) -> Vec<Id> {
        let mut waiting = match self.conversations.get_mut(conversation) {
            Some(conversation) => std::mem::take(&mut conversation.waiting),
            None => Vec::new(),
        };
        waiting.retain(|id| self.calls.get(*id).is_some_and(|call| matches!(call.phase, Phase::Token)));
        waiting
    }
}
