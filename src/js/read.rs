//! What JavaScript tells, from JSON. It was checked there, in the words of its options.

use crate::engine::{
    Begin, Budget, Config, ConversationOptions, Cost, Head, Id, Kind, Limits, NEVER, Resource, UsageQuery,
};
use crate::json::Json;
use crate::{Error, Reason};

/// The fields of an object.
struct Fields<'a>(Option<Json<'a>>);

impl Fields<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.0?.field(name)?.text()
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.0?.field(name)?.number()
    }

    fn or_never(&self, name: &str) -> f64 {
        self.number(name).unwrap_or(NEVER)
    }
}

fn fields(text: &str) -> Fields<'_> {
    Fields(Json::parse(text))
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
        max_retries: given.number("maxRetries").unwrap_or_default() as u32,
        largest_event: given.or_never("largestEventBytes") as usize,
        source_reports: given.number("sourceReports").is_some(),
    }
}

/// A call as it begins: `total` is what is left of its time.
pub(super) fn begin(text: &str, conversation: Id, total: f64) -> Result<Begin, Error> {
    let given = fields(text);
    let id = || given.text("id").unwrap_or_default();
    let kind = match given.text("kind").as_deref().unwrap_or_default() {
        "ask" => Kind::Ask,
        "chat" => Kind::Chat,
        "stream" => Kind::Stream,
        "warm" => Kind::Warm,
        "raw" => Kind::Raw(given.text("path").unwrap_or_default()),
        "threads" => Kind::Resource(Resource::get("/v1/threads")),
        "thread" => Kind::Resource(Resource::thread("GET", &id(), "")?),
        "messages" => Kind::Resource(Resource::thread("GET", &id(), "/messages")?),
        "delete" => Kind::Resource(Resource::thread("DELETE", &id(), "")?),
        "models" => Kind::Resource(Resource::get("/v1/models")),
        "usage" => {
            let (from, to) = (given.text("from"), given.text("to"));
            Kind::Resource(Resource::usage(&UsageQuery { from, to, granularity: given.text("granularity") }))
        }
        _ => return Err(Error::new(Reason::Internal, "a call of no known kind")),
    };
    let body = given.number("length").map(|length| length as usize);
    let max_retries = given.number("maxRetries").unwrap_or_default() as u32;
    Ok(Begin { conversation, kind, body, total, max_retries })
}

pub(super) fn head(status: f64, text: &str) -> Head {
    let given = fields(text);
    Head {
        status: status as u16,
        kind: given.text("kind").unwrap_or_default().to_ascii_lowercase(),
        retry_after: given.text("retryAfter"),
        retry_date: given.number("retryDate"),
        trace_id: given.text("traceId"),
    }
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
