//! A session of its own: its token, its thread and its budget, which stay put while tokens rotate.

use super::budget::{Budget, Meter};
use super::clock::{Moment, Random};
use super::exchange::Exchange;
use super::retry::back_off;
use super::session::Identity;
use super::table::Id;
use super::token::{Mint, MintPhase, Token, Took};
use crate::wire::{self, TokenReply};
use crate::{Error, Reason};

const FIRST_COOL_DOWN: f64 = 1_000.0;
const LARGEST_COOL_DOWN: f64 = 30_000.0;
/// Tokens are renewed in the last quarter of their use, each at a moment of its own. Those of a crowd that came in one minute, or
/// after an outage, would else be renewed in one minute for hours: `arrivals.rs` shows it. (RFC 2131, section 4.4.5, has the same
/// rule for leases.)
const LARGEST_SHARE_FORGONE: f64 = 0.25;

/// What a conversation keeps.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ConversationOptions {
    /// The session that cost and short-term memory are attributed to; a new UUID if absent.
    pub session_id: Option<String>,
    /// A thread that the gateway stores and continues, sent as `X-Thread-Id`.
    pub thread_id: Option<String>,
    /// What it may spend; no limit if absent.
    pub budget: Option<Budget>,
}

impl ConversationOptions {
    /// A session of its own, no thread, no limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this session id, for a conversation that goes on after a reload, say.
    #[must_use]
    pub fn session_id(self, session_id: impl Into<String>) -> Self {
        Self { session_id: Some(session_id.into()), ..self }
    }

    /// In this thread.
    #[must_use]
    pub fn thread_id(self, thread_id: impl Into<String>) -> Self {
        Self { thread_id: Some(thread_id.into()), ..self }
    }

    /// With this limit.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.session_id.iter().chain(&self.thread_id).all(|id| wire::is_id(id)) {
            true => Ok(()),
            false => Err(Error::new(
                Reason::InvalidConfig,
                "session and thread ids must be 1 to 255 visible ASCII characters",
            )),
        }
    }
}

/// The last mint failed; until the cool-down is over every caller gets the same answer.
struct Failed {
    error: Error,
    in_a_row: u32,
    at: Moment,
    cool_down: f64,
    changes: u32,
}

/// The client's own session, or that of one of its conversations.
#[derive(Default)]
pub(crate) struct Conversation {
    /// Asked for from the first mint on.
    own_session_id: Option<String>,
    pub(crate) thread_id: Option<String>,
    pub(crate) meter: Option<Meter>,
    pub(crate) token: Option<Token>,
    pub(crate) mint: Option<Mint>,
    /// The calls that wait for its token.
    pub(crate) waiting: Vec<Id>,
    minted: u32,
    /// The session id kept across tokens, and the epoch it belongs to.
    session_id: Option<(u32, String)>,
    failure: Option<Failed>,
    /// Whose it is, unless it serves whoever is signed in.
    owner: Option<Owner>,
}

/// Who may go on with a conversation.
enum Owner {
    /// The first who uses it.
    First,
    User(Identity),
}

impl Conversation {
    pub(crate) fn of(options: ConversationOptions, user: Option<Identity>) -> Self {
        Self {
            own_session_id: options.session_id,
            thread_id: options.thread_id,
            meter: options.budget.map(Meter::new),
            owner: Some(user.map_or(Owner::First, Owner::User)),
            ..Self::default()
        }
    }

    /// May this user go on with it?
    pub(crate) fn belongs_to(&mut self, user: Option<&Identity>) -> bool {
        if let (Some(Owner::First), Some(user)) = (&self.owner, user) {
            self.owner = Some(Owner::User(user.clone()));
        }
        match (&self.owner, user) {
            (Some(Owner::User(owner)), Some(user)) => owner == user,
            _ => true,
        }
    }

    /// The body of the mint under way.
    pub(crate) fn mint_body(&mut self) -> Option<&mut Exchange> {
        match &mut self.mint.as_mut()?.phase {
            MintPhase::Body(exchange) | MintPhase::Refusal(exchange) => Some(exchange),
            MintPhase::Session(_) | MintPhase::Head(_) | MintPhase::Wait => None,
        }
    }

    /// The request under way when nobody needs the conversation any more.
    pub(crate) fn into_request(mut self) -> Option<Id> {
        self.mint.take().and_then(Mint::into_request)
    }

    /// The current user's token, if any of its life is left.
    pub(crate) fn usable(&self, now: Moment, epoch: u32) -> Option<&Token> {
        self.token.as_ref().filter(|token| token.epoch == epoch && token.remaining(now) > 0.0)
    }

    /// The current user's token, if more than the margin of its life is left.
    pub(crate) fn fresh(&self, now: Moment, epoch: u32, margin: f64) -> Option<&Token> {
        self.usable(now, epoch).filter(|token| token.remaining(now) > token.margin(margin))
    }

    /// From twice the margin at the latest, down to the margin, a token is used at once and renewed in the background.
    pub(crate) fn is_due(&self, now: Moment, margin: f64, changes: u32) -> bool {
        let due = self.token.as_ref().is_some_and(|token| {
            let ahead = token.margin(margin) * 2.0;
            ahead < token.ttl && token.remaining(now) <= ahead + (token.ttl - ahead) * token.early
        });
        due && self.mint.is_none() && self.cooling_down(now, changes).is_none()
    }

    /// The session id that the next call will carry, if it is known already.
    pub(crate) fn session_id(&self, epoch: u32) -> Option<&String> {
        let kept = self.session_id.as_ref().filter(|(of, _)| *of == epoch).map(|(_, id)| id);
        kept.or(self.own_session_id.as_ref())
    }

    /// Forgets the token of this generation; a newer one stays.
    pub(crate) fn invalidate(&mut self, generation: u32) {
        self.token.take_if(|token| token.generation == generation);
    }

    /// Forgets the current token.
    pub(crate) fn clear(&mut self) {
        self.token = None;
        // What is being minted now may be what the caller wants to be rid of.
        self.mint.iter_mut().for_each(|mint| mint.discard = true);
    }

    /// Drops what belongs to an epoch that is over; gives back the request of its mint.
    pub(crate) fn leave(&mut self, epoch: u32) -> Option<Id> {
        self.token.take_if(|token| token.epoch != epoch);
        self.mint.take_if(|mint| mint.epoch != epoch)?.into_request()
    }

    /// Keeps a new token.
    pub(crate) fn store(&mut self, reply: TokenReply, mint: &Mint, sent: Moment, now: Moment, random: &mut Random) {
        let known = self.session_id(mint.epoch).cloned();
        let session_id = known.or(reply.session_id).unwrap_or_else(|| random.uuid());
        self.minted += 1;
        self.failure = None;
        self.session_id = Some((mint.epoch, session_id.clone()));
        self.token = Some(Token {
            secret: reply.token,
            session_id,
            generation: self.minted,
            epoch: mint.epoch,
            took: Took { session: mint.asked.since(mint.began), function: now.since(mint.asked) },
            ttl: wire::as_millis(reply.ttl),
            started: sent,
            early: random.fraction() * LARGEST_SHARE_FORGONE,
        });
    }

    /// Begins the cool-down after a mint that failed.
    pub(crate) fn remember(&mut self, error: &Error, now: Moment, changes: u32, fraction: f64) {
        // A failure long after the last one is the first of its kind, and a sign-out is none.
        let recent = self.failure.as_ref().filter(|failed| now.since(failed.at) < LARGEST_COOL_DOWN * 2.0);
        let in_a_row = recent.map_or(0, |failed| failed.in_a_row);
        let back_off = back_off(FIRST_COOL_DOWN, LARGEST_COOL_DOWN, in_a_row) * (0.5 + fraction / 2.0);
        // What went wrong here and not at a server may be over with the next call, right after the sign-in for instance.
        let is_local = matches!(error.reason(), Reason::SignedOut | Reason::InvalidConfig | Reason::Internal);
        let cool_down = match is_local {
            true => 0.0,
            false => back_off.max(error.retry_after().map_or(0.0, wire::as_millis).min(LARGEST_COOL_DOWN)),
        };
        self.failure = Some(Failed {
            error: error.clone(),
            in_a_row: in_a_row + u32::from(!is_local),
            at: now,
            cool_down,
            changes,
        });
    }

    /// Forgets the last failure.
    pub(crate) fn forgive(&mut self) {
        self.failure = None;
    }

    /// The failure that stands for the next mint, while its cool-down lasts and nobody else has signed in.
    pub(crate) fn cooling_down(&self, now: Moment, changes: u32) -> Option<&Error> {
        let failed = self.failure.as_ref()?;
        let over = now.since(failed.at) >= failed.cool_down || failed.changes != changes;
        (!over).then_some(&failed.error)
    }
}
