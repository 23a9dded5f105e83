//! A project's connection: requests to Supabase Auth, and the renewal that all wait for.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};

use super::flight::Flight;
use super::keeper::Keeper;
use super::news::News;
use super::renewing::{LOCK_LIMIT, Next, Renewed, Renewing, Wanted};
use super::reply::{Answer, no_answer};
use super::requests::Ask;
use super::session::AuthSession;
use crate::engine::Moment;
use crate::platform::{self, Failure, Request, Response, Transport};
use crate::text::lossy;
use crate::wire::{millis, retry_after};
use crate::{Error, Reason};

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 1 << 20;

pub(super) struct Connection {
    pub(super) url: String,
    pub(super) key: String,
    pub(super) timeout: Duration,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) news: Arc<News>,
    pub(super) renewal: Mutex<Option<Flight<Renewed>>>,
}

impl Connection {
    pub(super) fn now(&self) -> Moment {
        crate::client::moment(self.transport.now())
    }

    /// Renews the session, or finds that somebody else has.
    pub(super) async fn renew(self: Arc<Self>, asked: AuthSession, wanted: Wanted) -> Renewed {
        let _lock = self.news.lock(&self.keeper, || self.transport.sleep(millis(LOCK_LIMIT))).await;
        let mut renewing = Renewing::new(asked, wanted);
        let mut next = renewing.go_on(&self.keeper, self.now());
        loop {
            next = match next {
                Next::Send(ask) => {
                    let answer = self.send(ask).await;
                    renewing.answered(&self.keeper, answer, self.now())
                }
                Next::Pause(pause) => {
                    self.transport.sleep(millis(pause)).await;
                    renewing.go_on(&self.keeper, self.now())
                }
                Next::End(renewed) => return renewed,
            };
        }
    }

    pub(super) async fn send(&self, ask: Ask) -> Result<Answer, Error> {
        let answer = std::pin::pin!(self.answer(&ask));
        match select(answer, self.transport.sleep(self.timeout)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(super::reply::late()),
        }
    }

    async fn answer(&self, ask: &Ask) -> Result<Answer, Error> {
        let (url, headers) = (ask.url(&self.url), ask.headers(&self.key));
        let request = Request { method: ask.method, url, headers, body: ask.body.clone() };
        let response = self.transport.send(request).await.map_err(unanswered)?;
        let wait = response.header("retry-after");
        let wait = wait.and_then(|text| retry_after(text, platform::http_date(text), self.now().wall));
        let trace_id = response.trace_id();
        let status = response.status;
        Ok(Answer { status, body: whole(response).await?, retry_after: wait, trace_id })
    }
}

fn unanswered(failure: Failure) -> Error {
    match failure.is_no_response() && platform::nothing_runs_here().is_some() {
        true => crate::client::dropped(),
        false => no_answer(failure.message()),
    }
}

async fn whole(mut response: Response) -> Result<String, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = poll_fn(|context| response.body.poll_chunk(context)).await {
        body.extend(chunk.map_err(unanswered)?);
        if body.len() > LARGEST_ANSWER {
            return Err(Error::new(Reason::InvalidResponse, "the answer of Supabase Auth is larger than 1 MiB"));
        }
    }
    Ok(lossy(&body).into_owned())
}
