//! What becomes of calls: from the question whose they are to what they settle with.

use super::budget::Spent;
use super::call::{Kind, Phase, Reply, Streaming};
use super::clock::{Limits, Moment, NEVER};
use super::exchange::{Broken, Exchange, GATEWAY, Head, REFUSAL_LIMIT, bearer, spelt, timed_out};
use super::machine::{Action, Body, Engine, Owner};
use super::receive::{Receive, Want};
use super::retry::wait_before_retry;
use super::session::user_changed;
use super::stream::{End, Outcome, Stream};
use super::table::Id;
use super::trace::Retry;
use crate::text::digits;
use crate::{Error, Reason, Secret, wire};

/// A session that changes this often during one call never settles.
const MOST_RESTARTS: u32 = 4;
/// How long the server has for what it sends after the end marker.
const DRAIN_LIMIT: f64 = 2_000.0;

impl Engine {
    /// Gets the call on its way, from the question whose it is.
    pub(super) fn proceed(&mut self, now: Moment, id: Id) {
        if self.config.source_reports {
            return self.want_token(now, id, None);
        }
        let reading = self.join_reading(now);
        if let Some(call) = self.calls.get_mut(id) {
            call.phase = Phase::Session(reading);
            call.due = NEVER;
        }
    }

    /// Sends the call with a token, at once or as soon as there is one.
    pub(super) fn want_token(&mut self, now: Moment, id: Id, session: Option<&Secret>) {
        let (epoch, changes, margin) = (self.session.epoch, self.session.changes, self.config.margin);
        let Some(call) = self.calls.get_mut(id) else { return };
        let conversation_id = call.conversation;
        let Some(conversation) = self.conversations.get_mut(conversation_id) else {
            let error = Error::new(Reason::Internal, "the conversation of the call is gone");
            return self.settle(id, Err(error));
        };
        if !conversation.belongs_to(self.session.identity()) {
            return self.settle(id, Err(user_changed()));
        }
        if conversation.fresh(now, epoch, margin).is_some() {
            if conversation.is_due(now, margin, changes) {
                self.start_mint(now, conversation_id, session.cloned());
            }
            return self.go_out(now, id);
        }
        call.phase = Phase::Token;
        call.due = NEVER;
        call.minted = true;
        if conversation.mint.is_some() {
            return conversation.waiting.push(id);
        }
        if let Some(error) = conversation.cooling_down(now, changes).cloned() {
            return self.without_token(now, id, error);
        }
        call.restarts += 1;
        if call.restarts > MOST_RESTARTS {
            let message = "the session or the token changed again and again during one call";
            return self.settle(id, Err(Error::new(Reason::SessionFailed, message)));
        }
        conversation.waiting.push(id);
        self.start_mint(now, conversation_id, session.cloned());
    }

    /// A token could not be had. One that is too old to be preferred still serves.
    pub(super) fn without_token(&mut self, now: Moment, id: Id, error: Error) {
        let conversation = self.calls.get(id).and_then(|call| self.conversations.get(call.conversation));
        if conversation.is_some_and(|conversation| conversation.usable(now, self.session.epoch).is_some()) {
            self.go_out(now, id);
        } else {
            self.settle(id, Err(error));
        }
    }

    /// Sends the call with the token that is there.
    pub(super) fn go_out(&mut self, now: Moment, id: Id) {
        let request = self.next_id();
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(conversation) = self.conversations.get(call.conversation) else { return };
        let Some(token) = &conversation.token else { return };
        if std::mem::take(&mut call.minted) {
            call.trace.session = Some(wire::millis(token.took.session));
            call.trace.mint = Some(wire::millis(token.took.function));
        }
        call.trace.session_id.clone_from(&token.session_id);
        if matches!(call.kind, Kind::Warm) {
            let reply = Reply { status: 0, json: String::new(), trace: std::mem::take(&mut call.trace) };
            return self.settle(id, Ok(reply));
        }
        call.generation = token.generation;
        let is_stream = matches!(call.kind, Kind::Stream);
        let accept = if is_stream { "text/event-stream" } else { "application/json" };
        let mut headers = vec![
            ("authorization", bearer(&token.secret)),
            ("accept", accept.to_owned()),
            ("x-session-id", token.session_id.clone()),
        ];
        headers.extend(conversation.thread_id.iter().map(|thread| ("x-thread-id", thread.clone())));
        let mut body = Body::None;
        if call.body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
            body = Body::OfCall;
        }
        let (method, path) = call.path();
        let url = [&*self.config.gateway_url, path].concat();
        call.phase = Phase::Head(Exchange::new(request, now, &token.secret, &url));
        call.due = now.monotonic + self.config.limits.first_byte;
        let due = call.due;
        self.watch(due);
        self.requests.set(request, Owner::Call(id));
        self.actions.push(Action::Send { request, owner: id, method, url, headers, body });
    }

    pub(super) fn call_head(&mut self, now: Moment, id: Id, head: Head, is_success: bool) {
        let Limits { idle, content, first_byte, .. } = self.config.limits;
        let largest_event = self.config.largest_event;
        let Some(call) = self.calls.get_mut(id) else { return };
        let Phase::Head(mut exchange) = std::mem::replace(&mut call.phase, Phase::Retry) else { return };
        exchange.head = head;
        let request = exchange.request;
        if !is_success {
            call.phase = Phase::Refusal(exchange);
            call.due = now.monotonic + first_byte.min(REFUSAL_LIMIT);
        } else {
            call.note_head(&exchange, now);
            call.spent = call.body.map(|request| Spent { request, ..Spent::default() });
            if matches!(call.kind, Kind::Raw(_)) {
                call.due = NEVER;
                let trace = call.trace.clone();
                call.phase = Phase::Raw(exchange);
                return self.actions.push(Action::Open { call: id, request, trace });
            }
            let kind = &exchange.head.kind;
            if matches!(call.kind, Kind::Stream)
                && !kind.starts_with("application/json")
                && !kind.starts_with("text/html")
            {
                call.due = NEVER;
                let trace = call.trace.clone();
                call.phase = Phase::Stream(Box::new(Streaming {
                    exchange,
                    stream: Stream::new(largest_event),
                    waiting: false,
                    waiting_since: now.monotonic,
                    content_left: content,
                }));
                return self.actions.push(Action::Open { call: id, request, trace });
            }
            call.phase = Phase::Body(exchange);
            call.due = now.monotonic + idle;
        }
        let due = call.due;
        self.watch(due);
        self.actions.push(Action::Pump { request });
    }

    pub(super) fn call_bytes(&mut self, now: Moment, id: Id, bytes: &[u8], want: Want, out: &mut dyn Receive) {
        let limits = self.config.limits;
        let Some(call) = self.calls.get_mut(id) else { return };
        match &mut call.phase {
            Phase::Body(exchange) => {
                if exchange.take(bytes).is_err() {
                    let error = exchange.overlong(GATEWAY);
                    return self.settle(id, Err(error));
                }
                call.due = now.monotonic + limits.idle;
            }
            Phase::Refusal(exchange) => {
                if exchange.take(bytes).is_err() {
                    let (error, request) = (exchange.refusal(GATEWAY, now), exchange.request);
                    self.cancel(request);
                    self.call_attempt_failed(now, id, error, false);
                }
            }
            Phase::Stream(streaming) => {
                let progress = streaming.stream.push(bytes, want, out);
                let waited = now.monotonic - streaming.waiting_since;
                streaming.content_left = if progress.event { limits.content } else { streaming.content_left - waited };
                streaming.waiting = false;
                let end = streaming.stream.end().cloned();
                call.due = NEVER;
                call.note(progress, now);
                if let Some(end) = end {
                    self.end_stream(now, id, end);
                }
            }
            Phase::Raw(_) => call.spent.iter_mut().for_each(|spent| spent.answer += bytes.len()),
            Phase::Session(_) | Phase::Token | Phase::Head(_) | Phase::Retry | Phase::Ended(_) => {}
        }
    }

    pub(super) fn call_end(&mut self, now: Moment, id: Id, want: Want, out: &mut dyn Receive) {
        let Some(call) = self.calls.get_mut(id) else { return };
        match std::mem::replace(&mut call.phase, Phase::Retry) {
            Phase::Body(exchange) => {
                let result = call.read(&exchange).map_err(|error| exchange.tell(error));
                let trace = std::mem::take(&mut call.trace);
                let result = result.map(|json| Reply { status: exchange.head.status, json, trace });
                self.settle(id, result);
            }
            Phase::Refusal(exchange) => {
                let error = exchange.refusal(GATEWAY, now);
                self.call_attempt_failed(now, id, error, false);
            }
            Phase::Stream(mut streaming) => {
                let progress = streaming.stream.close(want, out);
                let end = streaming.stream.end().cloned();
                call.phase = Phase::Stream(streaming);
                call.note(progress, now);
                if let Some(end) = end {
                    self.end_stream(now, id, end);
                }
            }
            Phase::Raw(exchange) => {
                let trace = std::mem::take(&mut call.trace);
                self.settle(id, Ok(Reply { status: exchange.head.status, json: String::new(), trace }));
            }
            other => call.phase = other,
        }
    }

    pub(super) fn call_broken(&mut self, now: Moment, id: Id, broken: &Broken) {
        let Some(call) = self.calls.get_mut(id) else { return };
        match &call.phase {
            Phase::Head(exchange) => {
                let error = exchange.unanswered(GATEWAY, broken);
                let repeatable = !broken.is_defect && (broken.unsent || call.is_repeatable());
                self.call_attempt_failed(now, id, error, repeatable);
            }
            Phase::Body(exchange) | Phase::Raw(exchange) => {
                let error = exchange.broken_off("the gateway's reply", broken);
                self.settle(id, Err(error));
            }
            Phase::Refusal(exchange) => {
                let error = exchange.refusal(GATEWAY, now);
                self.call_attempt_failed(now, id, error, false);
            }
            Phase::Stream(streaming) => {
                // The answer may be whole, and only the end marker lost.
                let end = streaming.stream.finished().unwrap_or_else(|| {
                    let error = streaming.exchange.broken_off("the gateway's stream", broken);
                    End { outcome: Outcome::Disconnected, error: Some(error) }
                });
                self.end_stream(now, id, end);
            }
            Phase::Session(_) | Phase::Token | Phase::Retry | Phase::Ended(_) => {}
        }
    }

    pub(super) fn call_is_due(&mut self, now: Moment, id: Id) {
        let limits = self.config.limits;
        let Some(call) = self.calls.get_mut(id) else { return };
        if call.total <= now.monotonic {
            let error = timed_out(
                Reason::Timeout,
                call.total_limit,
                spelt("the whole call (Timeouts::total)", "the whole call (timeoutMs or timeouts.totalMs)"),
            );
            return self.fail(id, Outcome::Failed, error);
        }
        match &call.phase {
            Phase::Head(exchange) => {
                let what = spelt(
                    "the gateway's first byte (Timeouts::first_byte)",
                    "the gateway's first byte (timeouts.firstByteMs)",
                );
                let error = exchange.tell(timed_out(Reason::Timeout, limits.first_byte, what));
                self.settle(id, Err(error));
            }
            Phase::Body(exchange) => {
                let what = spelt(
                    "the rest of the gateway's reply (Timeouts::idle)",
                    "the rest of the gateway's reply (timeouts.idleMs)",
                );
                let error = exchange.tell(timed_out(Reason::Timeout, limits.idle, what));
                self.settle(id, Err(error));
            }
            Phase::Refusal(exchange) => {
                let (error, request) = (exchange.refusal(GATEWAY, now), exchange.request);
                self.cancel(request);
                self.call_attempt_failed(now, id, error, false);
            }
            Phase::Retry => self.proceed(now, id),
            Phase::Stream(streaming) => {
                let (waited, request) = (now.monotonic - streaming.waiting_since, streaming.exchange.request);
                let silent = |limit: f64, what: &str| {
                    let message = ["nothing came for ", &digits(limit as u64), " ms (", what, ")"].concat();
                    End::failed(Outcome::Stalled, Reason::Stalled, message)
                };
                let end = streaming.stream.finished().unwrap_or_else(|| {
                    if waited >= limits.idle {
                        silent(limits.idle, spelt("Timeouts::idle", "timeouts.idleMs"))
                    } else {
                        silent(
                            limits.content,
                            spelt("Timeouts::content: only keep-alives", "timeouts.contentMs: only keep-alives"),
                        )
                    }
                });
                let end = End { error: end.error.map(|error| streaming.exchange.tell(error)), ..end };
                // Nothing more is to come, so there is nothing to wait for.
                self.cancel(request);
                self.close_stream(id, end);
                self.actions.push(Action::Interrupt { call: id });
            }
            Phase::Session(_) | Phase::Token | Phase::Raw(_) | Phase::Ended(_) => {}
        }
    }

    /// An attempt failed: is it worth another?
    pub(super) fn call_attempt_failed(&mut self, now: Moment, id: Id, error: Error, repeatable: bool) {
        let fraction = self.random.fraction();
        let Some(call) = self.calls.get_mut(id) else { return };
        let mut retry = Retry { reason: error.reason(), status: error.status(), waited: wire::millis(0.0) };
        if error.status() == Some(401) && !std::mem::replace(&mut call.renewed, error.status() == Some(401)) {
            call.trace.retries.push(retry);
            let (conversation, generation) = (call.conversation, call.generation);
            self.conversations.get_mut(conversation).into_iter().for_each(|of| of.invalidate(generation));
            return self.proceed(now, id);
        }
        if let (Some(404), Kind::Resource(resource)) = (error.status(), &mut call.kind)
            && let Some(path) = resource.or_path.take()
        {
            resource.path = path;
            return self.proceed(now, id);
        }
        let wait = wait_before_retry(&error, repeatable, call.attempt, fraction);
        let in_time = |wait: &f64| call.retries_left > 0 && now.monotonic + wait < call.total;
        let Some(wait) = wait.filter(in_time) else { return self.settle(id, Err(error)) };
        call.retries_left -= 1;
        call.attempt += 1;
        retry.waited = wire::millis(wait);
        call.trace.retries.push(retry);
        call.phase = Phase::Retry;
        call.due = now.monotonic + wait;
        let due = call.due;
        self.watch(due);
    }

    /// Ends a call with an error, however far it has come.
    pub(super) fn fail(&mut self, id: Id, outcome: Outcome, error: Error) {
        match self.calls.get_mut(id).map(|call| &mut call.phase) {
            Some(Phase::Stream(streaming)) => {
                let (request, error) = (streaming.exchange.request, streaming.exchange.tell(error));
                self.cancel(request);
                self.close_stream(id, End { outcome, error: Some(error) });
                self.actions.push(Action::Interrupt { call: id });
            }
            // Its end is known, but nobody has been told: the new one counts.
            Some(Phase::Ended(end)) => {
                *end = End { outcome, error: Some(error) };
                self.actions.push(Action::Interrupt { call: id });
            }
            Some(_) => self.settle(id, Err(error)),
            None => {}
        }
    }

    /// A stream is over. What it has handed out is read first.
    pub(super) fn end_stream(&mut self, now: Moment, id: Id, end: End) {
        let Some(Phase::Stream(streaming)) = self.calls.get(id).map(|call| &call.phase) else { return };
        let request = streaming.exchange.request;
        let end = End { error: end.error.map(|error| streaming.exchange.tell(error)), ..end };
        if end.error.is_some() {
            self.cancel(request);
        } else if let Some(owner) = self.requests.get_mut(request) {
            // Hanging up right after the end marker would look to the server like a caller who left, and the connection
            // could not be used again.
            let due = now.monotonic + DRAIN_LIMIT;
            *owner = Owner::Drain(due);
            self.watch(due);
            self.actions.push(Action::Pump { request });
        }
        self.close_stream(id, end);
    }

    pub(super) fn close_stream(&mut self, id: Id, end: End) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.phase = Phase::Ended(end);
        call.due = NEVER;
        call.total = NEVER;
        let spent = call.spent.take();
        let conversation = call.conversation;
        self.spend(conversation, spent);
    }

    pub(super) fn settle(&mut self, id: Id, result: Result<Reply, Error>) {
        let Some(mut call) = self.calls.remove(id) else { return };
        if let Some(exchange) = call.exchange() {
            self.cancel(exchange.request);
        }
        let spent = call.spent.take();
        self.spend(call.conversation, spent);
        self.actions.push(Action::Settle { call: id, result });
    }

    /// Counts what a call has cost: something, from the moment its answer began.
    pub(super) fn spend(&mut self, conversation: Id, spent: Option<Spent>) {
        let meter = self.conversations.get_mut(conversation).and_then(|of| of.meter.as_mut());
        if let (Some(spent), Some(meter)) = (spent, meter) {
            meter.count(&spent);
        }
    }
}
