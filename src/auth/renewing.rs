//! Who is signed in, and a renewal from the first look at the storage to its end. Told what happened, it says what to do; whoever
//! sends and waits decides nothing.

use super::keeper::Keeper;
use super::reply::{self, Answer};
use super::requests::Ask;
use super::rules::{Came, Step, Then};
use super::session::AuthSession;
use crate::engine::Moment;
use crate::{Error, Reason};

/// As long as supabase-js waited for the lock of a session, at most.
pub(crate) const LOCK_LIMIT: f64 = 5_000.0;
/// How often a session may turn out to be another one while it is renewed.
const ROUNDS: u32 = 4;
/// Pauses before another attempt at a renewal that failed for a moment, in milliseconds.
const PAUSES: [f64; 2] = [200.0, 800.0];

/// What came of a renewal: the session that is stored then, and why it could not be renewed.
pub(crate) type Renewed = Result<Option<AuthSession>, Failed>;

#[derive(Clone)]
pub(crate) struct Failed {
    session: Option<AuthSession>,
    error: Error,
}

/// Who is signed in.
pub(crate) enum Found {
    Now(Result<Option<AuthSession>, Error>),
    /// This one, if it is renewed first.
    Renew(AuthSession),
}

/// Whoever wants the session; or, with `forced`, another one in its place.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) forced: bool,
}

impl Wanted {
    pub(crate) fn find(self, keeper: &Keeper, now: Moment) -> Found {
        let Some(session) = keeper.read() else {
            return Found::Now(if self.forced { Err(signed_out()) } else { Ok(None) });
        };
        match keeper.step(&session, now) {
            _ if self.forced => Found::Renew(session),
            Step::Use => Found::Now(Ok(Some(session))),
            Step::Rest(error) => Found::Now(Err(error)),
            Step::Renew => Found::Renew(session),
        }
    }

    /// What a renewal that was waited for comes to.
    pub(crate) fn after(self, renewed: Renewed, keeper: &Keeper, now: Moment) -> Result<Option<AuthSession>, Error> {
        match renewed {
            Ok(None) if self.forced => Err(signed_out()),
            Ok(session) => Ok(session),
            Err(Failed { error, .. }) if self.forced => Err(error),
            // It could not be renewed, and is good all the same.
            Err(Failed { session: Some(session), error }) => match keeper.step(&session, now) {
                Step::Use => Ok(Some(session)),
                _ => Err(error),
            },
            // The session has ended, which is an answer.
            Err(Failed { session: None, .. }) => Ok(None),
        }
    }
}

pub(crate) fn signed_out() -> Error {
    Error::new(Reason::SignedOut, "there is no session")
}

/// A renewal under way.
pub(crate) struct Renewing {
    asked: AuthSession,
    forced: bool,
    rounds: u32,
    /// The session whose refresh token was sent last.
    sent: Option<AuthSession>,
    tries: usize,
    /// What came of it, and when.
    came: Option<(Came, Moment)>,
    looks: u32,
}

/// What is to be done for it.
pub(crate) enum Next {
    Send(Ask),
    /// For so many milliseconds.
    Pause(f64),
    End(Renewed),
}

impl Renewing {
    /// Of this session, even if it is still good.
    pub(crate) fn new(asked: AuthSession, wanted: Wanted) -> Self {
        Self { asked, forced: wanted.forced, rounds: 0, sent: None, tries: 0, came: None, looks: 0 }
    }

    /// No other tab renews it now, or a pause is over.
    pub(crate) fn go_on(&mut self, keeper: &Keeper, now: Moment) -> Next {
        match (&self.came, &self.sent) {
            (None, None) => self.begin(keeper, now),
            (None, Some(session)) => self.send(session.clone()),
            _ => {
                self.looks += 1;
                self.judge(keeper, now)
            }
        }
    }

    fn begin(&mut self, keeper: &Keeper, now: Moment) -> Next {
        let Some(session) = keeper.read() else { return Next::End(Ok(None)) };
        let is_asked_for = self.forced && session.has_tokens_of(&self.asked);
        if !is_asked_for && keeper.step(&session, now) == Step::Use {
            return Next::End(Ok(Some(session)));
        }
        if self.rounds == ROUNDS {
            let error = Error::new(Reason::Conflict, "the session changed again and again while it was renewed");
            return Next::End(Err(Failed { session: Some(session), error }));
        }
        self.rounds += 1;
        (self.tries, self.looks, self.came) = (0, 0, None);
        self.send(session)
    }

    fn send(&mut self, session: AuthSession) -> Next {
        let ask = Ask::refresh(session.refresh_token());
        self.sent = Some(session);
        Next::Send(ask)
    }

    /// What Supabase Auth made of the refresh token.
    pub(crate) fn answered(&mut self, keeper: &Keeper, answer: Result<Answer, Error>, now: Moment) -> Next {
        let Some(sent) = &self.sent else { return self.begin(keeper, now) };
        let answer = answer.and_then(|answer| answer.accepted(sent.refresh_token()));
        let came = Came::of(answer.and_then(|body| reply::session(&body, now.wall / 1000.0)));
        // An answer that was lost is given again: Supabase takes the token before the newest one.
        if came.may_be_asked_again()
            && let Some(pause) = PAUSES.get(self.tries)
        {
            self.tries += 1;
            return Next::Pause(*pause);
        }
        self.came = Some((came, now));
        self.judge(keeper, now)
    }

    fn judge(&mut self, keeper: &Keeper, now: Moment) -> Next {
        let (Some(sent), Some(came)) = (&self.sent, &self.came) else { return self.begin(keeper, now) };
        Next::End(match keeper.after(sent, came.clone(), self.looks, now) {
            Then::Store(new) => Ok(Some(new)),
            Then::Adopt => return self.begin(keeper, now),
            Then::Look(pause) => return Next::Pause(pause),
            Then::Keep(error) => Err(Failed { session: Some(sent.clone()), error }),
            Then::End(error) => Err(Failed { session: None, error }),
            Then::Gone => Ok(None),
        })
    }
}
