//! What JavaScript tells. It was checked there, in the words of its options.

use crate::Error;
use crate::engine::{Budget, Config, ConversationOptions, Cost, Kind, Limits, NEVER, Resource, UsageQuery};
use crate::json::{Fields, Json};

/// The fields of an object.
pub(super) struct Given<'a>(Option<Fields<'a>>);

#[cfg(feature = "sign-in")]
impl<'a> Given<'a> {
    /// A value as it is written.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        Some(self.0.as_ref()?.get(name)?.raw())
    }
}

impl Given<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.as_ref()?.get(name)?.text()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0.as_ref()?.get(name)?.number()
    }

    fn or_never(&self, name: &str) -> f64 {
        self.number(name).unwrap_or(NEVER)
    }
}

pub(super) fn fields(text: &str) -> Given<'_> {
    Given(Json::parse(text).map(Json::fields))
}

/// A limit that is not there is none.
pub(super) fn config(text: &str) -> Config {
    let given = fields(text);
    Config {
        gateway_url: given.text("gatewayUrl").unwrap_or_default(),
        function_url: given.text("functionUrl").unwrap_or_default(),
        api_key: given.text("apiKey"),
        margin: given.or_never("marginMs"),
        limits: Limits {
            session: given.or_never("sessionMs"),
            token: given.or_never("tokenMs"),
            first_byte: given.or_never("firstByteMs"),
            idle: given.or_never("idleMs"),
            content: given.or_never("contentMs"),
            total: NEVER,
        },
        max_retries: given.or_never("maxRetries") as u32,
        largest_event: given.or_never("largestEventBytes") as usize,
        source_reports: given.number("sourceReports").is_some(),
    }
}

/// What a call is to do, by its place in `KINDS` of `pkg/lib/drive.js`, and what that needs to know.
pub(super) fn kind(number: u32, text: &str) -> Result<Kind, Error> {
    let resource = match number {
        0 => return Ok(Kind::Ask),
        1 => return Ok(Kind::Chat),
        2 => return Ok(Kind::Stream),
        3 => return Ok(Kind::Warm),
        4 => Resource::get("/v1/threads"),
        5 => Resource::thread("GET", text, "")?,
        6 => Resource::thread("GET", text, "/messages")?,
        7 => Resource::thread("DELETE", text, "")?,
        8 => Resource::get("/v1/models"),
        9 => {
            let mut lines = text.split('\n').map(present);
            let mut next = || lines.next().flatten();
            Resource::usage(&UsageQuery { from: next(), to: next(), granularity: next() })
        }
        _ => return Ok(Kind::Raw(text.to_owned())),
    };
    Ok(Kind::Resource(resource))
}

/// What is empty is not there.
pub(super) fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) fn conversation(text: &str) -> ConversationOptions {
    let given = fields(text);
    let cost = given.number("cost").map(|limit| Cost {
        limit,
        prompt_price: given.number("promptPrice").unwrap_or_default(),
        completion_price: given.number("completionPrice").unwrap_or_default(),
    });
    let tokens = given.number("tokens").map(|tokens| tokens as u64);
    let budget = (tokens.is_some() || cost.is_some()).then_some(Budget { tokens, cost });
    ConversationOptions { session_id: given.text("sessionId"), thread_id: given.text("threadId"), budget }
}
