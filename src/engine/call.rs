//! One call's life, from the question to the last byte.

use super::budget::Spent;
use super::chunk::{self, Choice, Chunk, Data};
use super::clock::Moment;
use super::exchange::{Exchange, GATEWAY};
use super::stream::{End, Progress, Stream, not_a_stream};
use super::table::Id;
use super::trace::Trace;
use crate::json::{Json, Scan};
use crate::wire::ErrorBody;
use crate::{Error, Reason, wire};

pub(crate) const CHAT_PATH: &str = "/v1/chat/completions";

/// What a call is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A completion of which only the text is wanted.
    Ask,
    /// A completion.
    Chat,
    /// A streamed completion.
    Stream,
    /// Only a token.
    Warm,
    /// Something else of the gateway's.
    Resource(Resource),
    /// Somebody else's request at this path, whose answer is theirs to read: only its bytes are counted.
    #[cfg_attr(not(feature = "js"), allow(dead_code))]
    Raw(String),
}

/// A path of the gateway's data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// Where it is found instead, if the first path is answered with 404.
    pub(crate) or_path: Option<String>,
}

/// A call as it begins.
pub(crate) struct Begin {
    pub(crate) conversation: Id,
    pub(crate) kind: Kind,
    /// The size of its body, which the face keeps.
    pub(crate) body: Option<usize>,
    /// For the whole call, from this moment.
    pub(crate) total: f64,
    pub(crate) max_retries: u32,
}

pub(crate) struct Call {
    pub(crate) conversation: Id,
    pub(crate) kind: Kind,
    pub(crate) body: Option<usize>,
    /// Whose call it is.
    pub(crate) epoch: u32,
    /// It was found out whose call it is, not only assumed.
    pub(crate) bound: bool,
    pub(crate) phase: Phase,
    pub(crate) retries_left: u32,
    pub(crate) attempt: u32,
    /// The token was refused once and minted anew.
    pub(crate) renewed: bool,
    /// How often it waited for a token in vain.
    pub(crate) restarts: u32,
    /// The generation of the token it went out with.
    pub(crate) generation: u32,
    /// It had to wait for a mint.
    pub(crate) minted: bool,
    pub(crate) total: f64,
    pub(crate) total_limit: f64,
    pub(crate) due: f64,
    pub(crate) trace: Trace,
    pub(crate) spent: Option<Spent>,
}

pub(crate) enum Phase {
    /// Waits for this reading of the session.
    Session(u32),
    /// Waits for the token of its conversation.
    Token,
    Head(Exchange),
    /// The whole reply, in one piece.
    Body(Exchange),
    /// The words of a refusal.
    Refusal(Exchange),
    /// Before it is sent again.
    Retry,
    Stream(Box<Streaming>),
    /// Whoever asked reads the answer.
    Raw(Exchange),
    /// A stream whose end nobody has been told.
    Ended(End),
}

/// A stream that is open.
pub(crate) struct Streaming {
    pub(crate) exchange: Exchange,
    pub(crate) stream: Stream,
    /// Somebody waits for bytes: only then can the gateway be too slow.
    pub(crate) waiting: bool,
    /// What is left of the time for an event that is no keep-alive.
    pub(crate) content_left: f64,
    pub(crate) waiting_since: f64,
}

/// A reply as the gateway sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; empty only where the gateway answers without one.
    pub json: String,
    /// What the call did and how long it took.
    pub trace: Trace,
}

impl Call {
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match &self.phase {
            Phase::Head(exchange) | Phase::Body(exchange) | Phase::Refusal(exchange) | Phase::Raw(exchange) => {
                Some(exchange)
            }
            Phase::Stream(streaming) => Some(&streaming.exchange),
            Phase::Session(_) | Phase::Token | Phase::Retry | Phase::Ended(_) => None,
        }
    }

    pub(crate) fn path(&self) -> (&'static str, &str) {
        match &self.kind {
            Kind::Resource(resource) => (resource.method, &resource.path),
            // The face knows the method, what is accepted, and what the body is.
            Kind::Raw(path) => ("", path),
            Kind::Ask | Kind::Chat | Kind::Stream | Kind::Warm => ("POST", CHAT_PATH),
        }
    }

    /// Doing it twice does no harm: only a completion costs anything.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.body.is_none()
    }

    /// What a whole reply says: the text that is settled with, or why it is no answer.
    pub(crate) fn read(&mut self, exchange: &Exchange) -> Result<String, Error> {
        let invalid = |what: &str| {
            let message = [GATEWAY, "'s reply ", what].concat();
            Error::new(Reason::InvalidResponse, message).with_status(exchange.head.status)
        };
        if matches!(self.kind, Kind::Stream) {
            return Err(not_a_stream(&exchange.head.kind, &exchange.body).with_status(exchange.head.status));
        }
        let body = exchange.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&exchange.body);
        let text = std::str::from_utf8(body).map_err(|_| invalid("is not text"))?;
        let is_delete = self.path().0 == "DELETE";
        if text.trim_ascii().is_empty() {
            return if is_delete { Ok(String::new()) } else { Err(invalid("is empty")) };
        }
        if let Kind::Resource(_) | Kind::Raw(_) = &self.kind {
            let mut scan = Scan::new(text);
            return if scan.json().is_some() && scan.ends() {
                Ok(text.to_owned())
            } else {
                Err(invalid("is not JSON"))
            };
        }
        let completion = match chunk::read(text, chunk::MESSAGE) {
            // Some gateways report an error with status 200, as they would in a stream.
            Data::Chunk(Chunk { error: Some(_), .. }) => {
                return Err(ErrorBody::parse(body).into_reported(GATEWAY).with_status(200));
            }
            Data::Chunk(Chunk { first: Choice { error: Some(error), .. }, .. }) => {
                return Err(ErrorBody::of(error).into_reported(GATEWAY).with_status(200));
            }
            Data::Chunk(completion) if completion.has_choices => completion,
            Data::Chunk(_) | Data::Other => return Err(invalid("is not a chat completion: it has no choices")),
            Data::Broken => return Err(invalid("is not JSON")),
        };
        let answer = if self.kind == Kind::Ask { answer(&completion.first, &invalid)? } else { text.to_owned() };
        if let Some(spent) = &mut self.spent {
            spent.answer = text.len();
            spent.usage = completion.usage.map(|usage| usage.raw().to_owned());
        }
        Ok(answer)
    }

    /// The answer has begun.
    pub(crate) fn note_head(&mut self, exchange: &Exchange, now: Moment) {
        self.trace.cached = self.trace.mint.is_none();
        self.trace.headers = Some(wire::millis(now.since(exchange.sent)));
        self.trace.trace_id = exchange.head.trace_id.clone();
    }

    /// What bytes of a stream have brought.
    pub(crate) fn note(&mut self, progress: Progress, now: Moment) {
        let Some(sent) = self.exchange().map(|exchange| exchange.sent) else { return };
        if progress.text > 0 {
            self.trace.first_content.get_or_insert_with(|| wire::millis(now.since(sent)));
        }
        if let Some(spent) = &mut self.spent {
            spent.answer += progress.text;
            spent.usage = progress.usage.or(spent.usage.take());
        }
    }
}

/// The text of an answer, where only that is wanted.
fn answer(choice: &Choice<'_>, invalid: &dyn Fn(&str) -> Error) -> Result<String, Error> {
    if choice.finish_reason.is("error") {
        return Err(invalid("has the finish_reason \"error\"").with_reason(Reason::ServerError));
    }
    let answer = choice.said.map(chunk::words).unwrap_or_default();
    if !answer.is_empty() {
        return Ok(answer);
    }
    Err(if choice.finish_reason.is("content_filter") {
        invalid("has no text").with_reason(Reason::ContentBlocked)
    } else if choice.tool_calls.is_some() {
        let hint = "Use chat.completions (in Rust: `chat`) for answers that call tools.".to_owned();
        invalid("has no text: the answer is a call of tools").with_hint(Some(hint))
    } else if choice.finish_reason.is("length") {
        let hint = "Use chat.completions (in Rust: `chat`) with a higher limit.".to_owned();
        invalid("has no text: its token limit came first").with_hint(Some(hint))
    } else if choice.said.is_some_and(Json::is_text) {
        return Ok(answer);
    } else {
        invalid("has no text")
    })
}
