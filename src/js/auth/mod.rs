//! Sign-in for the npm package: the steps of [`crate::auth`], between which JavaScript sends and waits. (With the
//! feature `sign-in`.) `pkg/lib/auth/driver.js` is the other side.

mod calls;
mod host;

use std::cell::RefCell;
use std::sync::Arc;

use wasm_bindgen::prelude::*;

use super::read::{fields, present};
use crate::auth::parts::{
    Answer, Ask, BROUGHT_BACK, Done, Found, Keeper, Kept, LOCK_LIMIT, Next, Place, Renewed, Renewing, Sharing, Wanted,
    late, no_answer, usual_storage_key,
};
use crate::auth::{AuthEvent, AuthOptions, AuthSession};
use crate::engine::{Id, Moment, Table};
use crate::json::quote;
use crate::{Error, wire};
use calls::Call;
use host::{HostStorage, HostTabs, Out, random_bytes};

/// The number of the renewal among those of calls.
const RENEWAL: Id = 0;
/// What a request came to, where it did not come to a status.
const BROKEN: u32 = 0;
const LATE: u32 = 1;

/// One project of the page.
struct Face {
    url: String,
    key: String,
    keeper: Arc<Keeper>,
    out: Out,
    calls: Table<Caller>,
    renewal: Option<Renewal>,
}

struct Caller {
    call: Call,
    options: AuthOptions,
    /// In whose name it was sent.
    session: Option<AuthSession>,
    /// What the answer must not say again.
    secret: String,
}

/// The renewal that these calls wait for.
struct Renewal {
    renewing: Renewing,
    stage: Stage,
    waiting: Vec<Id>,
}

/// What a renewal waits for.
enum Stage {
    Lock,
    /// The answer, which must not say this again.
    Answer(String),
    Pause,
}

thread_local! {
    static FACES: RefCell<Table<Face>> = RefCell::default();
}

/// A project under this number, by `{url, key, storageKey, sharing}`, which the caller has checked. Gives what is to be done.
#[wasm_bindgen(js_name = authOpen)]
pub fn open(face: Id, config: &str) -> String {
    let given = fields(config);
    let text = |name| given.text(name).unwrap_or_default();
    let url = text("url");
    let storage_key = given.text("storageKey").unwrap_or_else(|| usual_storage_key(&url));
    let out = Out::default();
    let tabs = HostTabs(out.clone());
    let sharing = match &*text("sharing") {
        // JavaScript says by itself when to look: [`look`].
        "page" => Sharing::Tabs(Box::new(|_, _| Some(Box::new(tabs)))),
        "nobody" => Sharing::Nobody,
        _ => Sharing::Untold,
    };
    out.write(|out| out.value("open", &[], Some(&storage_key), None));
    let keeper = Keeper::new(Kept::new(Box::new(HostStorage(face))), storage_key, sharing);
    let told = out.clone();
    keeper.listen(Arc::new(move |event: AuthEvent, session: Option<&AuthSession>| {
        // Told by JavaScript itself, to each listener of its own.
        if event != AuthEvent::InitialSession {
            told.write(|out| out.value("told", &[], Some(event.as_str()), session.map(AuthSession::json)));
        }
    }));
    let to_do = out.take();
    let made = Face { url, key: text("key"), keeper, out, calls: Table::default(), renewal: None };
    FACES.with_borrow_mut(|faces| faces.set(face, made));
    to_do
}

/// Nobody needs the project any more.
#[wasm_bindgen(js_name = authClose)]
pub fn close(face: Id) {
    let closed = FACES.with_borrow_mut(|faces| faces.remove(face));
    drop(closed);
}

/// A call begins under this number, with what its kind needs to know as a JSON object. Gives what is to be done.
#[wasm_bindgen(js_name = authCall)]
pub fn call(face: Id, wall: f64, monotonic: f64, call: Id, name: &str, given: &str) -> String {
    with(face, |face| match calls::read(name, given) {
        Ok((kind, options)) => {
            let caller = Caller { call: kind, options, session: None, secret: String::new() };
            face.calls.set(call, caller);
            face.begin(call, Moment { wall, monotonic });
        }
        Err(error) => face.settle(call, Err(error)),
    })
}

/// What a call, or the renewal, waited for has come. Of a request its status and body; or [`BROKEN`] with the host's words, or
/// [`LATE`]. Of anything else nothing. What is not there is empty, or no number. Gives what is to be done.
#[wasm_bindgen(js_name = authCame)]
#[expect(clippy::too_many_arguments, reason = "plain values cross cheapest")]
pub fn came(
    face: Id,
    wall: f64,
    monotonic: f64,
    call: Id,
    status: u32,
    text: &str,
    retry_after: &str,
    retry_date: f64,
    trace_id: &str,
) -> String {
    let retry_date = Some(retry_date).filter(|date| !date.is_nan());
    let answer = match status {
        BROKEN => Err(no_answer(text)),
        LATE => Err(late()),
        _ => Ok(Answer {
            status: status as u16,
            body: text.as_bytes().to_vec(),
            retry_after: wire::retry_after(retry_after, retry_date, wall),
            trace_id: present(trace_id),
        }),
    };
    with(face, |face| face.came(call, answer, Moment { wall, monotonic }))
}

/// Others may have changed what is stored. Gives what is to be done.
#[wasm_bindgen(js_name = authLook)]
pub fn look(face: Id) -> String {
    with(face, |face| drop(face.keeper.read()))
}

fn with(face: Id, event: impl FnOnce(&mut Face)) -> String {
    FACES.with_borrow_mut(|faces| {
        let Some(face) = faces.get_mut(face) else { return String::new() };
        event(face);
        face.out.take()
    })
}

impl Face {
    fn begin(&mut self, id: Id, now: Moment) {
        let Some(caller) = self.calls.get_mut(id) else { return };
        match &caller.call {
            Call::Session | Call::Initial => self.want(id, false, now),
            Call::Refresh => self.want(id, true, now),
            Call::Do(op) if op.is_users() => self.want(id, false, now),
            Call::Do(_) => self.send(id),
            Call::Provider(provider) => {
                let place = Place { keeper: &self.keeper, options: &caller.options, random: &random_bytes };
                let url = place.sign_in_url(&self.url, provider);
                self.settle(id, Ok(quoted(&url)));
            }
            Call::Returning if self.keeper.verifier().is_some() => {
                let names = BROUGHT_BACK.map(quoted).join(",");
                self.settle(id, Ok(["[", &names, "]"].concat()));
            }
            Call::Returning | Call::Nothing => self.settle(id, Ok(nothing())),
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
                    self.renewal = Some(Renewal { renewing, stage: Stage::Lock, waiting: vec![id] });
                    let name = ["lock:", self.keeper.key()].concat();
                    self.out.write(|out| out.value("lock", &[RENEWAL, LOCK_LIMIT as Id], Some(&name), None));
                }
            },
        }
    }

    fn found(&mut self, id: Id, found: Result<Option<AuthSession>, Error>) {
        let Some(caller) = self.calls.get_mut(id) else { return };
        let session = match &caller.call {
            Call::Do(op) => op.session(found, &self.keeper),
            Call::Initial => return self.settle(id, Ok(maybe(found.unwrap_or_else(|_| self.keeper.read())))),
            _ => return self.settle(id, found.map(maybe)),
        };
        match session {
            Ok(None) => self.settle(id, Ok(nothing())),
            Ok(session) => {
                caller.session = session;
                self.send(id);
            }
            Err(error) => self.settle(id, Err(error)),
        }
    }

    fn send(&mut self, id: Id) {
        let Some(caller) = self.calls.get_mut(id) else { return };
        let Call::Do(op) = &mut caller.call else { return };
        let place = Place { keeper: &self.keeper, options: &caller.options, random: &random_bytes };
        match op.ask(&place, caller.session.as_ref()) {
            Ok(ask) => {
                caller.secret.clone_from(&ask.secret);
                self.request(id, &ask);
            }
            Err(error) => self.settle(id, Err(error)),
        }
    }

    fn request(&self, id: Id, ask: &Ask) {
        let (url, headers) = (ask.url(&self.url), ask.headers(&self.key));
        self.out.write(|out| out.send(id, id, ask.method, &url, &headers, ask.body.as_deref().map(Some)));
    }

    fn came(&mut self, id: Id, answer: Result<Answer, Error>, now: Moment) {
        if id == RENEWAL {
            return self.renewal_goes_on(answer, now);
        }
        let Some(caller) = self.calls.get(id) else { return };
        let Call::Do(op) = &caller.call else { return };
        let answer = answer.and_then(|answer| answer.accepted(&caller.secret));
        let done = op.finish(&self.keeper, caller.session.as_ref(), answer, now);
        let value = done.map(|done| match done {
            Done::Session(session) => session.json().to_owned(),
            Done::User(user) => user.json().to_owned(),
            Done::Nothing => nothing(),
        });
        self.settle(id, value);
    }

    fn renewal_goes_on(&mut self, answer: Result<Answer, Error>, now: Moment) {
        let Some(Renewal { renewing, stage, .. }) = &mut self.renewal else { return };
        let next = match stage {
            Stage::Lock => renewing.begin(&self.keeper, now),
            Stage::Pause => renewing.paused(&self.keeper, now),
            Stage::Answer(secret) => {
                let answer = answer.and_then(|answer| answer.accepted(secret));
                renewing.answered(&self.keeper, answer, now)
            }
        };
        match next {
            Next::Send(ask) => {
                *stage = Stage::Answer(ask.secret.clone());
                self.request(RENEWAL, &ask);
            }
            Next::Pause(pause) => {
                *stage = Stage::Pause;
                self.out.write(|out| out.action("sleep", &[RENEWAL, pause as Id]));
            }
            Next::End(renewed) => self.renewed(&renewed, now),
        }
    }

    fn renewed(&mut self, renewed: &Renewed, now: Moment) {
        self.out.write(|out| out.action("unlock", &[]));
        let waiting = self.renewal.take().map(|renewal| renewal.waiting);
        for id in waiting.unwrap_or_default() {
            let forced = matches!(self.calls.get(id), Some(Caller { call: Call::Refresh, .. }));
            let found = Wanted { forced }.after(renewed.clone(), &self.keeper, now);
            self.found(id, found);
        }
    }

    /// The call ends with this value, as JSON.
    fn settle(&mut self, id: Id, value: Result<String, Error>) {
        let settled = self.calls.remove(id);
        drop(settled);
        self.out.write(|out| match &value {
            Ok(value) => out.value("done", &[id], None, Some(value)),
            Err(error) => out.fail(id, error),
        });
    }
}

fn nothing() -> String {
    "null".to_owned()
}

fn maybe(session: Option<AuthSession>) -> String {
    session.map_or_else(nothing, |session| session.json().to_owned())
}

fn quoted(text: &str) -> String {
    let mut json = String::new();
    quote(text, &mut json);
    json
}
