//! Sign-in for the npm package: the steps of [`crate::auth`], between which JavaScript sends and waits. (With the
//! feature `sign-in`.) `pkg/lib/auth/driver.js` is the other side.

mod calls;
mod host;

use std::cell::RefCell;

use wasm_bindgen::prelude::*;

use super::read::present;
use crate::auth::AuthSession;
use crate::auth::parts::{
    Answer, Ask, Done, Found, Keeper, Kept, LOCK_LIMIT, Next, Renewed, Renewing, Wanted, late, no_answer,
};
use crate::engine::{Id, Moment, Table};
use crate::{Error, wire};
use calls::Call;
use host::{HostAudience, HostStorage, out, take_out};

/// The number of the renewal among those of calls.
const RENEWAL: Id = 0;
/// What was waited for, where it was no answer with a status.
const BROKEN: u32 = 0;
const LATE: u32 = 1;
const DONE: u32 = 2;

/// One project of the page.
struct Face {
    url: String,
    key: String,
    keeper: Keeper,
    calls: Table<Caller>,
    renewal: Option<Renewal>,
}

struct Caller {
    call: Call,
    /// In whose name it was sent.
    session: Option<AuthSession>,
}

/// The renewal that these calls wait for.
struct Renewal {
    renewing: Renewing,
    waiting: Vec<Id>,
}

thread_local! {
    static FACES: RefCell<Table<Face>> = RefCell::default();
}

/// A project under this number: its URL, its key, and the name of its session in the storage.
#[wasm_bindgen(js_name = authOpen)]
pub fn open(face: Id, url: String, key: String, storage_key: String) {
    let keeper = Keeper::new(Kept::new(Box::new(HostStorage(face))), storage_key, Box::new(HostAudience));
    // Who is signed in already is no news.
    keeper.read();
    drop(take_out());
    let made = Face { url, key, keeper, calls: Table::default(), renewal: None };
    FACES.with_borrow_mut(|faces| faces.set(face, made));
}

/// Nobody needs the project any more.
#[wasm_bindgen(js_name = authClose)]
pub fn close(face: Id) {
    let closed = FACES.with_borrow_mut(|faces| faces.remove(face));
    drop(closed);
}

/// A call begins under this number, with what its kind needs to know as a JSON object. Gives what is to be done.
#[wasm_bindgen(js_name = authCall)]
pub fn call(face: Id, wall: f64, monotonic: f64, call: Id, kind: u32, given: &str) -> String {
    with(face, |face| match calls::read(kind, given) {
        Ok(kind) => {
            face.calls.set(call, Caller { call: kind, session: None });
            face.begin(call, Moment { wall, monotonic });
        }
        Err(error) => face.settle(call, Err(&error)),
    })
}

/// What a call, or the renewal, waited for has come. Of a request its status and body; or [`BROKEN`] with the host's words, or
/// [`LATE`]. Of anything else [`DONE`]. What is not there is empty, or no number. Gives what is to be done.
#[wasm_bindgen(js_name = authCame)]
#[expect(clippy::too_many_arguments, reason = "plain values cross cheapest")]
pub fn came(
    face: Id,
    wall: f64,
    monotonic: f64,
    call: Id,
    status: u32,
    text: String,
    trace_id: &str,
    retry_after: &str,
    retry_date: f64,
) -> String {
    let now = Moment { wall, monotonic };
    with(face, |face| {
        let answer = match status {
            DONE => return face.go_on(now),
            BROKEN => Err(no_answer(&text)),
            LATE => Err(late()),
            _ => Ok(Answer {
                status: status as u16,
                body: text,
                retry_after: wire::retry_after(retry_after, Some(retry_date).filter(|date| !date.is_nan()), wall),
                trace_id: present(trace_id),
            }),
        };
        face.answered(call, answer, now);
    })
}

/// Others may have changed what is stored. Gives what is to be done.
#[wasm_bindgen(js_name = authLook)]
pub fn look(face: Id) -> String {
    with(face, |face| drop(face.keeper.read()))
}

fn with(face: Id, event: impl FnOnce(&mut Face)) -> String {
    FACES.with_borrow_mut(|faces| faces.get_mut(face).map(event));
    take_out()
}

impl Face {
    fn begin(&mut self, id: Id, now: Moment) {
        let Some(caller) = self.calls.get_mut(id) else { return };
        match &caller.call {
            Call::Session | Call::Initial => self.want(id, false, now),
            Call::Refresh => self.want(id, true, now),
            Call::Do(op) if op.is_users() => self.want(id, false, now),
            Call::Do(_) => self.send(id),
            Call::Leaving(verifier) => {
                self.keeper.keep_verifier(Some(verifier));
                self.settle(id, Ok(NOTHING));
            }
            Call::Returning if self.keeper.verifier().is_some() => self.settle(id, Ok("true")),
            Call::Returning | Call::Nothing => self.settle(id, Ok(NOTHING)),
        }
    }

    /// The call needs the session, or another one in its place.
    fn want(&mut self, id: Id, forced: bool, now: Moment) {
        let wanted = Wanted { forced };
        match wanted.find(&self.keeper, now) {
            Found::Now(found) => self.found(id, found),
            Found::Renew(session) => match &mut self.renewal {
                Some(renewal) => renewal.waiting.push(id),
                None => {
                    let renewing = Renewing::new(session, wanted);
                    self.renewal = Some(Renewal { renewing, waiting: vec![id] });
                    out(|out| out.action("lock", &[RENEWAL, LOCK_LIMIT as Id]));
                }
            },
        }
    }

    fn found(&mut self, id: Id, found: Result<Option<AuthSession>, Error>) {
        let Some(caller) = self.calls.get_mut(id) else { return };
        let found = match &caller.call {
            Call::Do(op) => match op.session(found, &self.keeper) {
                Ok(Some(session)) => {
                    caller.session = Some(session);
                    return self.send(id);
                }
                nobody => nobody,
            },
            Call::Initial => Ok(found.unwrap_or_else(|_| self.keeper.read())),
            _ => found,
        };
        self.settle(id, found.as_ref().map(|session| session.as_ref().map_or(NOTHING, AuthSession::json)));
    }

    fn send(&mut self, id: Id) {
        let Some(Caller { call: Call::Do(op), session }) = self.calls.get_mut(id) else { return };
        match op.ask(&self.keeper, session.as_ref()) {
            Ok(ask) => self.request(id, &ask),
            Err(error) => self.settle(id, Err(&error)),
        }
    }

    fn request(&self, id: Id, ask: &Ask) {
        let (url, headers) = (ask.url(&self.url), ask.headers(&self.key));
        out(|out| out.send(id, id, ask.method, &url, &headers, ask.body.as_deref().map(Some)));
    }

    fn answered(&mut self, id: Id, answer: Result<Answer, Error>, now: Moment) {
        if let Some(Renewal { renewing, .. }) = self.renewal.as_mut().filter(|_| id == RENEWAL) {
            let next = renewing.answered(&self.keeper, answer, now);
            return self.renew(next, now);
        }
        let Some(Caller { call: Call::Do(op), session }) = self.calls.get(id) else { return };
        match op.finish(&self.keeper, session.as_ref(), answer, now) {
            Ok(Done::Session(session)) => self.settle(id, Ok(session.json())),
            Ok(Done::User(user)) => self.settle(id, Ok(user.json())),
            Ok(Done::Nothing) => self.settle(id, Ok(NOTHING)),
            Err(error) => self.settle(id, Err(&error)),
        }
    }

    fn go_on(&mut self, now: Moment) {
        let Some(Renewal { renewing, .. }) = &mut self.renewal else { return };
        let next = renewing.go_on(&self.keeper, now);
        self.renew(next, now);
    }

    fn renew(&mut self, next: Next, now: Moment) {
        match next {
            Next::Send(ask) => self.request(RENEWAL, &ask),
            Next::Pause(pause) => out(|out| out.action("sleep", &[RENEWAL, pause as Id])),
            Next::End(renewed) => self.renewed(&renewed, now),
        }
    }

    fn renewed(&mut self, renewed: &Renewed, now: Moment) {
        out(|out| out.action("unlock", &[]));
        let waiting = self.renewal.take().map(|renewal| renewal.waiting);
        for id in waiting.unwrap_or_default() {
            let forced = matches!(self.calls.get(id), Some(Caller { call: Call::Refresh, .. }));
            let found = Wanted { forced }.after(renewed.clone(), &self.keeper, now);
            self.found(id, found);
        }
    }

    /// The call ends with this value, as JSON.
    fn settle(&mut self, id: Id, value: Result<&str, &Error>) {
        let settled = self.calls.remove(id);
        drop(settled);
        out(|out| match value {
            Ok(value) => out.value("done", &[id], None, Some(value)),
            Err(error) => out.fail(id, error),
        });
    }
}

const NOTHING: &str = "null";
