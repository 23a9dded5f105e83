//! A project's connection and session: requests to Supabase Auth, and the renewal that all wait for.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::AuthEvent;
use super::flight::Flight;
use super::keeper::Keeper;
use super::reply::{self, Answer};
use super::requests::Ask;
use super::rules::{Came, Step, Then};
use super::session::{AuthSession, User};
use crate::engine::{Moment, bearer};
use crate::platform::{self, Request, Response, Transport, page};
use crate::wire::retry_after;
use crate::{Error, Reason};

/// As long as supabase-js waited for it, at most.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// How often a session may turn out to be another one while it is renewed.
const ROUNDS: u32 = 4;
/// Pauses before another attempt at a renewal that failed for a moment.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// The largest answer that is read.
const LARGEST_ANSWER: usize = 1 << 20;
pub(super) struct Inner {
    pub(super) url: String,
    pub(super) key: String,
    pub(super) timeout: Duration,
    pub(super) transport: Arc<dyn Transport>,
    /// Is the transport the one that needs tokio?
    pub(super) is_default: bool,
    pub(super) keeper: Arc<Keeper>,
    pub(super) renewal: Mutex<Option<Flight<Renewed>>>,
}

/// What came of a renewal: the session that is stored then, and why it could not be renewed.
pub(super) type Renewed = Result<Option<AuthSession>, Failed>;

#[derive(Clone)]
pub(super) struct Failed {
    pub(super) session: Option<AuthSession>,
    pub(super) error: Error,
}

impl Inner {
    pub(super) fn now(&self) -> Moment {
        crate::client::moment(self.transport.now())
    }

    /// Renews the session, or finds that somebody else has.
    pub(super) async fn renew(self: Arc<Self>, asked: AuthSession, forced: bool) -> Renewed {
        let _lock = match self.keeper.is_shared() {
            true => page::lock(&["lock:", self.keeper.key()].concat(), self.transport.sleep(LOCK_LIMIT)).await,
            false => None,
        };
        for _ in 0..ROUNDS {
            let Some(session) = self.keeper.read() else { return Ok(None) };
            let is_asked_for = forced && session.has_tokens_of(&asked);
            if !is_asked_for && self.keeper.step(&session, self.now()) == Step::Use {
                return Ok(Some(session));
            }
            let (came, sent_at) = self.try_to_renew(&session).await;
            let mut looks = 0;
            loop {
                match self.keeper.after(&session, came.clone(), looks, self.now()) {
                    Then::Store(new) => {
                        self.keeper.issued(&new, sent_at);
                        self.keeper.store(&new, AuthEvent::TokenRefreshed);
                        return Ok(Some(new));
                    }
                    Then::Adopt => break,
                    Then::Look(pause) => {
                        self.transport.sleep(crate::wire::millis(pause)).await;
                        looks += 1;
                    }
                    Then::Keep(error) => return Err(Failed { session: Some(session), error }),
                    Then::End(error) => {
                        self.keeper.remove();
                        return Err(Failed { session: None, error });
                    }
                    Then::Gone => return Ok(None),
                }
            }
        }
        let error = Error::new(Reason::Conflict, "the session changed again and again while it was renewed");
        Err(Failed { session: self.keeper.read(), error })
    }

    /// What the server makes of the refresh token, and when it said so.
    async fn try_to_renew(&self, session: &AuthSession) -> (Came, Moment) {
        let mut pauses = PAUSES.iter();
        loop {
            let answer = self.send(Ask::refresh(session.refresh_token())).await;
            let now = self.now();
            let came = Came::of(answer.and_then(|body| reply::session(&body, now.wall / 1000.0)));
            let again = match &came {
                // An answer that was lost is given again: Supabase takes the token before the newest one.
                Came::Failed(error) => {
                    matches!(error.reason(), Reason::Network | Reason::ServerError | Reason::Conflict)
                }
                _ => false,
            };
            match pauses.next().filter(|_| again) {
                Some(pause) => self.transport.sleep(*pause).await,
                None => return (came, now),
            }
        }
    }

    pub(super) fn signed_in(&self, session: &AuthSession, now: Moment, event: AuthEvent) {
        self.keeper.issued(session, now);
        self.keeper.store(session, event);
    }

    /// This is the user now, if it is still this one that is signed in.
    pub(super) fn changed(&self, session: &AuthSession, user: User) -> Result<User, Error> {
        if let Some(stored) = self.keeper.read().filter(|stored| stored.continues(session))
            && let Some(changed) = stored.with_user(&user)
        {
            self.keeper.store(&changed, AuthEvent::UserUpdated);
        }
        Ok(user)
    }

    /// Removes the session if the server says that it has ended.
    pub(super) fn ended(&self, session: &AuthSession, error: &Error) {
        if error.reason() == Reason::SessionRevoked {
            self.remove(session);
        }
    }

    /// Removes the session, if it is still this one.
    pub(super) fn remove(&self, session: &AuthSession) {
        if self.keeper.read().is_some_and(|stored| stored.continues(session)) {
            self.keeper.remove();
        }
    }

    pub(super) async fn send(&self, ask: Ask) -> Result<Vec<u8>, Error> {
        if self.is_default && platform::nothing_runs_here().is_some() {
            return Err(crate::client::dropped());
        }
        let answer = std::pin::pin!(self.answer(&ask));
        match select(answer, self.transport.sleep(self.timeout)).await {
            Either::Left((answer, _)) => answer?.accepted(&ask.secret),
            Either::Right(_) => Err(Error::new(Reason::Timeout, "Supabase Auth did not answer in time (`timeout`)")),
        }
    }

    async fn answer(&self, ask: &Ask) -> Result<Answer, Error> {
        let mut headers = vec![("apikey", self.key.clone()), ("x-supabase-api-version", "2024-01-01".to_owned())];
        if let Some(token) = &ask.bearer {
            headers.push(("authorization", bearer(token)));
        }
        if ask.body.is_some() {
            headers.push(("content-type", "application/json;charset=UTF-8".to_owned()));
        }
        let url = [&self.url, "/auth/v1", &ask.path].concat();
        let request = Request { method: ask.method, url, headers, body: ask.body.clone() };
        let response = self.transport.send(request).await.map_err(no_answer)?;
        let wait = response.header("retry-after");
        let wait = wait.and_then(|text| retry_after(text, platform::http_date(text), self.now().wall));
        let trace_id = response.trace_id();
        let status = response.status;
        Ok(Answer { status, body: whole(response).await?, retry_after: wait, trace_id })
    }
}

async fn whole(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = poll_fn(|context| response.body.poll_chunk(context)).await {
        body.extend(chunk.map_err(no_answer)?);
        if body.len() > LARGEST_ANSWER {
            return Err(Error::new(Reason::InvalidResponse, "the answer of Supabase Auth is larger than 1 MiB"));
        }
    }
    Ok(body)
}

fn no_answer(failure: platform::Failure) -> Error {
    Error::new(Reason::Network, ["Supabase Auth gave no answer: ", failure.message()].concat())
}
