//! The gateway token, and the mint that brings one.

use super::clock::Moment;
use super::exchange::Exchange;
use super::table::Id;
use crate::Secret;

/// A token in use.
pub(crate) struct Token {
    pub(crate) secret: Secret,
    /// The session id to send with it.
    pub(crate) session_id: String,
    /// Names this token among all that this conversation has held.
    pub(crate) generation: u32,
    /// The user it belongs to.
    pub(crate) epoch: u32,
    /// How long it took to get.
    pub(crate) took: Took,
    pub(crate) ttl: f64,
    pub(crate) started: Moment,
    /// The share of its use that it forgoes by being renewed early.
    pub(crate) early: f64,
}

/// How long the parts of a mint took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Took {
    pub(crate) session: f64,
    pub(crate) function: f64,
}

impl Token {
    /// Counted by our own clocks from the moment the mint request left, so the server's clock does not matter.
    pub(crate) fn remaining(&self, now: Moment) -> f64 {
        (self.ttl - now.since(self.started)).max(0.0)
    }

    /// Short lives shrink the margin, or such a token would never be used.
    pub(crate) fn margin(&self, margin: f64) -> f64 {
        if self.ttl <= margin * 2.0 { self.ttl / 2.0 } else { margin }
    }
}

/// A token is being minted. Nobody's call is part of it: one that is cancelled takes nothing away from the others.
pub(crate) struct Mint {
    pub(crate) phase: MintPhase,
    pub(crate) epoch: u32,
    pub(crate) attempt: u32,
    pub(crate) due: f64,
    /// It was asked to be forgotten before it ended.
    pub(crate) discard: bool,
    pub(crate) session: Secret,
    /// When the session was asked for, and when the function.
    pub(crate) began: Moment,
    pub(crate) asked: Moment,
}

pub(crate) enum MintPhase {
    /// Waits for this reading of the session.
    Session(u32),
    Head(Exchange),
    Body(Exchange),
    Refusal(Exchange),
    /// Before the next attempt.
    Wait,
}

impl Mint {
    pub(crate) fn into_request(self) -> Option<Id> {
        match self.phase {
            MintPhase::Head(exchange) | MintPhase::Body(exchange) | MintPhase::Refusal(exchange) => {
                Some(exchange.request)
            }
            MintPhase::Session(_) | MintPhase::Wait => None,
        }
    }
}
