//! The engine for the npm package: few functions with plain values in and text out. It calls nothing of JavaScript's, and
//! makes no promise; `pkg/lib/drive.js` carries out what comes out of it. With the feature `sign-in`, that is beside it.
//!
//! A trap leaves through the function that was called, and is caught there. What it leaves behind is not used again.

// The host is who reaches these.
#![allow(unreachable_pub)]

#[cfg(feature = "sign-in")]
mod auth;
mod memory;
mod read;
mod write;

use std::cell::RefCell;
use std::collections::VecDeque;

use wasm_bindgen::prelude::*;

use crate::engine::{Action, Begin, Body, Broken, Engine, Head, Id, Moment, NEVER, Read, Reply, Table, Want};
use crate::{Error, Reason, Secret};
use write::{Items, Json, record, write_trace};

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory::new();

/// What happened, for [`tell`]. `pkg/lib/drive.js` has the same numbers.
mod event {
    pub(super) const SESSION_READ: u32 = 0;
    pub(super) const SESSION_FAILED: u32 = 1;
    pub(super) const BROKEN: u32 = 2;
    pub(super) const ABORT: u32 = 3;
    pub(super) const USER: u32 = 4;
    pub(super) const WAKE: u32 = 5;
    pub(super) const CONVERSE: u32 = 6;
    pub(super) const FORGET: u32 = 7;
    pub(super) const CLEAR_TOKEN: u32 = 8;
}

/// One client of the page.
struct Face {
    engine: Engine,
    /// What is to be done, as far as it is not the engine's actions.
    out: Json,
    /// What settled calls got, in their order.
    replies: VecDeque<Reply>,
    /// The moment that JavaScript's timer is set to.
    armed: f64,
}

/// What crosses with every piece of a stream lies here both ways, so that nothing is allocated for it.
#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    text: String,
}

thread_local! {
    static FACES: RefCell<(Id, Table<Face>)> = RefCell::default();
    static PIPE: RefCell<Pipe> = RefCell::default();
}

fn with<T: Default>(id: Id, use_it: impl FnOnce(&mut Face) -> T) -> T {
    FACES.with_borrow_mut(|(_, faces)| faces.get_mut(id).map(use_it).unwrap_or_default())
}

fn moment(wall: f64, monotonic: f64) -> Moment {
    Moment { wall, monotonic }
}

/// A new engine. The configuration was checked by the caller; `seed` is 16 random bytes.
#[wasm_bindgen]
pub fn create(config: &str, seed: &[u8]) -> u32 {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(seed).for_each(|(byte, random)| *byte = *random);
    let engine = Engine::new(read::config(config), bytes);
    let face = Face { engine, out: Json::default(), replies: VecDeque::new(), armed: NEVER };
    FACES.with_borrow_mut(|(last, faces)| {
        *last += 1;
        faces.set(*last, face);
        *last
    })
}

/// The engine's client was collected.
#[wasm_bindgen]
pub fn close(face: u32) {
    let closed = FACES.with_borrow_mut(|(_, faces)| faces.remove(face));
    drop(closed);
}

/// A call begins: of this conversation, of this kind, with so much time left, a body of so many bytes (none if negative), so
/// many retries, and what its kind needs to know. Gives what is to be done about it.
#[wasm_bindgen]
#[expect(clippy::too_many_arguments, reason = "plain values cross cheapest")]
pub fn begin(
    face: u32,
    wall: f64,
    monotonic: f64,
    conversation: u32,
    kind: u32,
    left: f64,
    length: f64,
    retries: f64,
    text: &str,
) -> String {
    with(face, |face| {
        match read::kind(kind, text) {
            Ok(kind) => {
                let body = (length >= 0.0).then_some(length as usize);
                let begin = Begin { conversation, kind, body, total: left, max_retries: retries as u32 };
                let id = face.engine.begin(moment(wall, monotonic), begin);
                face.out.action("begun", &[id]);
            }
            Err(error) => face.out.error("refuse", &error),
        }
        face.take()
    })
}

/// The session source is being called.
#[wasm_bindgen]
pub fn asked(face: u32, reading: u32) {
    with(face, |face| face.engine.session_asked(reading));
}

/// The head of an answer has come. What it does not have is empty, or no number. Gives what is to be done about it.
#[wasm_bindgen]
#[expect(clippy::too_many_arguments, reason = "plain values cross cheapest")]
pub fn head(
    face: u32,
    wall: f64,
    monotonic: f64,
    request: u32,
    status: u32,
    kind: &str,
    trace_id: &str,
    retry_after: &str,
    retry_date: f64,
) -> String {
    with(face, |face| {
        let head = Head {
            status: status as u16,
            kind: kind.to_ascii_lowercase(),
            trace_id: read::present(trace_id),
            retry_after: read::present(retry_after),
            retry_date: Some(retry_date).filter(|date| !date.is_nan()),
        };
        face.engine.head(moment(wall, monotonic), request, head);
        face.take()
    })
}

/// Tells what else happened, and gives what is to be done about it.
#[wasm_bindgen]
pub fn tell(face: u32, wall: f64, monotonic: f64, event: u32, id: u32, number: f64, text: &str) -> String {
    let now = moment(wall, monotonic);
    with(face, |face| {
        let engine = &mut face.engine;
        match event {
            event::SESSION_READ => engine.session_read(now, id, Ok(Some(Secret::from(text)))),
            event::SESSION_FAILED => {
                engine.session_read(now, id, Err(Error::new(Reason::SessionFailed, text.to_owned())));
            }
            event::BROKEN => {
                let (unsent, is_defect) = (number == 1.0, number == 2.0);
                engine.broken(now, id, &Broken { message: text.to_owned(), unsent, is_defect });
            }
            event::ABORT => engine.abort(id),
            event::USER => engine.user(Some(text).filter(|text| !text.is_empty()).map(Secret::from).as_ref()),
            event::WAKE => {
                face.armed = NEVER;
                engine.wake(now);
            }
            event::CONVERSE => match engine.converse(read::conversation(text)) {
                Ok(id) => face.out.action("conversed", &[id]),
                Err(error) => face.out.error("refuse", &error),
            },
            event::FORGET => engine.forget(id),
            event::CLEAR_TOKEN => engine.clear_token(id),
            _ => {}
        }
        face.take()
    })
}

/// Where the bytes of a body are to be put, for [`bytes`]: room for so many.
#[wasm_bindgen]
pub fn room(length: u32) -> u32 {
    PIPE.with_borrow_mut(|pipe| {
        pipe.bytes.resize(length as usize, 0);
        pipe.bytes.as_mut_ptr() as u32
    })
}

/// Where the text is that [`bytes`] and [`end`] tell the length of.
#[wasm_bindgen]
pub fn output() -> u32 {
    PIPE.with_borrow(|pipe| pipe.text.as_ptr() as u32)
}

/// So many bytes of a body have come. They make what they are worth to the reader of a stream: its text, or a JSON list of
/// chunks. Gives twice the length of that, and one more if there is something to be done.
#[wasm_bindgen]
pub fn bytes(face: u32, monotonic: f64, request: u32, text_only: bool, length: u32) -> u32 {
    receive(face, request, text_only, |engine, want, given, out| {
        let given = given.get(..length as usize).unwrap_or_default();
        // Nothing that bytes cause depends on the wall clock.
        engine.bytes(moment(0.0, monotonic), request, given, want, out);
    })
}

/// A body is whole. Gives what [`bytes`] gives.
#[wasm_bindgen]
pub fn end(face: u32, wall: f64, monotonic: f64, request: u32, text_only: bool) -> u32 {
    receive(face, request, text_only, |engine, want, _, out| engine.end(moment(wall, monotonic), request, want, out))
}

fn receive(
    face: u32,
    request: Id,
    text_only: bool,
    event: impl FnOnce(&mut Engine, Want, &[u8], &mut Items<'_>),
) -> u32 {
    let want = if text_only { Want::Text } else { Want::Chunks };
    PIPE.with_borrow_mut(|Pipe { bytes, text }| {
        let pending = with(face, |face| {
            let call = face.engine.owner(request).unwrap_or_default();
            let mut items = Items::new(want, call, text, &mut face.out);
            event(&mut face.engine, want, bytes, &mut items);
            items.finish();
            face.is_pending()
        });
        text.len() as u32 * 2 + u32::from(pending)
    })
}

/// Somebody wants more of a stream: `true` if the network has to bring it, else there is something to be done.
#[wasm_bindgen]
pub fn read(face: u32, monotonic: f64, call: u32) -> bool {
    with(face, |face| match face.engine.read(moment(0.0, monotonic), call) {
        Read::Bytes => true,
        Read::Ended(end, trace) => {
            face.out.ended(call, &end, &trace);
            false
        }
    })
}

/// What is to be done.
#[wasm_bindgen]
pub fn actions(face: u32) -> String {
    with(face, Face::take)
}

/// The text of the next call that is settled.
#[wasm_bindgen]
pub fn reply(face: u32) -> String {
    with(face, |face| face.replies.pop_front().map(|reply| reply.json).unwrap_or_default())
}

/// What the call of the next reply did; or that of a stream so far.
#[wasm_bindgen]
pub fn trace(face: u32, call: u32) -> String {
    with(face, |face| {
        let mut out = String::new();
        let reply = || face.replies.front().map(|reply| &reply.trace);
        if let Some(trace) = face.engine.trace(call).or_else(reply) {
            write_trace(trace, &mut out);
        }
        out
    })
}

/// What is known of a conversation: its session id, and of its token what is left of it.
#[wasm_bindgen]
pub fn peek(face: u32, wall: f64, monotonic: f64, conversation: u32) -> String {
    with(face, |face| {
        let mut out = String::new();
        let token = face.engine.token(moment(wall, monotonic), conversation);
        if let Some(token) = token {
            record(&mut out, |record| {
                record.text("sessionId", Some(&token.session_id));
                record.number("remainingMs", Some(token.remaining));
                record.number("ttlMs", Some(token.ttl));
            });
        }
        out
    })
}

/// The session id that the next call carries, if it is known.
#[wasm_bindgen(js_name = sessionId)]
pub fn session_id(face: u32, conversation: u32) -> String {
    with(face, |face| face.engine.session_id(conversation).cloned().unwrap_or_default())
}

impl Face {
    /// Is there something to be done?
    fn is_pending(&self) -> bool {
        self.engine.has_actions() || !self.out.is_empty() || self.is_to_be_armed()
    }

    fn is_to_be_armed(&self) -> bool {
        self.engine.earliest() < self.armed || (self.armed < NEVER && self.engine.is_idle())
    }

    /// A JSON list of what is to be done; nothing if there is nothing.
    fn take(&mut self) -> String {
        for action in self.engine.take_actions() {
            self.write(action);
        }
        if self.engine.is_idle() && self.armed < NEVER {
            self.armed = NEVER;
            self.out.action("wake", &[]);
        } else if self.engine.earliest() < self.armed {
            self.armed = self.engine.earliest();
            self.out.wake(self.armed);
        }
        self.out.finish()
    }

    fn write(&mut self, action: Action) {
        let out = &mut self.out;
        match action {
            Action::ReadSession { reading } => out.action("readSession", &[reading]),
            Action::Send { request, owner, method, url, headers, body } => {
                let body = match body {
                    Body::None => None,
                    Body::OfCall => Some(None),
                    Body::Json(json) => Some(Some(json)),
                };
                out.send(request, owner, method, &url, &headers, body.as_ref().map(Option::as_deref));
            }
            Action::Pump { request } => out.action("pump", &[request]),
            Action::Cancel { request } => out.action("cancel", &[request]),
            Action::Open { call, request, .. } => out.action("open", &[call, request]),
            Action::Interrupt { call } => out.action("interrupt", &[call]),
            Action::Settle { call, result: Ok(reply) } => {
                out.action("settle", &[call]);
                self.replies.push_back(reply);
            }
            Action::Settle { call, result: Err(error) } => out.fail(call, &error),
        }
    }
}
