//! What the gateway tells of threads, usage and models, as far as it is documented: for [`Reply::parse`](super::Reply::parse).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::chat::{count, null_as_default};

/// One of the user's threads: an item of [`Client::threads`](super::Client::threads).
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # use behest_client::testing::{FUNCTION, Reply, World, default_reply};
/// # let world = World::new();
/// # world.serve(|request, log| match request.url == FUNCTION {
/// #     true => default_reply(request, log),
/// #     false => Reply::json(200, r#"[{"id":"t-1","title":"Cats","last_message_at":"2026-11-21T10:00:00Z"}]"#),
/// # });
/// # let client = world.client();
/// use behest_client::client::Thread;
///
/// # world.run(async {
/// let threads: Vec<Thread> = client.threads().await?.parse()?;
/// assert_eq!(threads[0].title.as_deref(), Some("Cats"));
/// # Ok::<(), behest_client::Error>(())
/// # }).unwrap();
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Thread {
    /// For [`Client::thread_messages`](super::Client::thread_messages), [`Chat::set_thread`](super::Chat::set_thread) and
    /// [`ConversationOptions::thread_id`](super::ConversationOptions::thread_id).
    pub id: String,
    /// What it is about, if it has a name.
    #[serde(default)]
    pub title: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub last_message_at: Option<String>,
    /// Whatever else the gateway says.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What the user has used: of [`Client::usage`](super::Client::usage), in either of the shapes that gateways have.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # use behest_client::testing::{FUNCTION, Reply, World, default_reply};
/// # let world = World::new();
/// # world.serve(|request, log| match request.url == FUNCTION {
/// #     true => default_reply(request, log),
/// #     false => Reply::json(200, r#"{"totals":{"requests":2,"tokens":90,"cost_usd":0.01},"sessions":[{"session_id":"s","requests":2}]}"#),
/// # });
/// # let client = world.client();
/// use behest_client::client::{UsageQuery, UsageReport};
///
/// # world.run(async {
/// let usage: UsageReport = client.usage(&UsageQuery::new().from("2026-11-01")).await?.parse()?;
/// assert_eq!((usage.totals.tokens(), usage.totals.cost_usd), (90, 0.01));
/// assert_eq!(usage.sessions[0].session_id, "s");
/// # Ok::<(), behest_client::Error>(())
/// # }).unwrap();
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct UsageReport {
    /// Whose usage it is.
    #[serde(default)]
    pub user_id: Option<String>,
    /// All of it. Gateways that bill call it `platform`.
    #[serde(default, alias = "platform", deserialize_with = "null_as_default")]
    pub totals: Used,
    /// By time, as [`UsageQuery::granularity`](super::UsageQuery::granularity) asks.
    #[serde(default, deserialize_with = "null_as_default")]
    pub breakdown: Vec<UsedThen>,
    /// By session, where the gateway tells.
    #[serde(default, deserialize_with = "null_as_default")]
    pub sessions: Vec<SessionUsage>,
    /// Whatever else the gateway says.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An amount of usage. What a gateway does not tell is zero.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Used {
    /// Calls.
    #[serde(default, deserialize_with = "count")]
    pub requests: u64,
    /// Tokens of prompts.
    #[serde(default, deserialize_with = "count")]
    pub input_tokens: u64,
    /// Tokens of answers.
    #[serde(default, deserialize_with = "count")]
    pub output_tokens: u64,
    /// In US dollars.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cost_usd: f64,
    #[serde(default, rename = "tokens", deserialize_with = "count")]
    all_tokens: u64,
}

impl Used {
    /// Tokens of prompts and answers.
    pub fn tokens(&self) -> u64 {
        self.all_tokens.max(self.input_tokens.saturating_add(self.output_tokens))
    }
}

/// What was used within one step of time.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct UsedThen {
    /// Its beginning, in RFC 3339.
    #[serde(default)]
    pub timestamp: String,
    /// How much.
    #[serde(flatten)]
    pub used: Used,
}

/// What one session used.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct SessionUsage {
    /// The session's id.
    #[serde(default)]
    pub session_id: String,
    /// How much.
    #[serde(flatten)]
    pub used: Used,
}

/// The models that a project offers: of [`Client::models`](super::Client::models).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Models {
    /// One after the other.
    #[serde(default, deserialize_with = "null_as_default")]
    pub data: Vec<Model>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Model {
    /// For [`ChatRequest::model`](super::ChatRequest::model).
    pub id: String,
    /// Whatever else the gateway says.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_usage_are_read() {
        let sdk = r#"{"totals":{"tokens":7,"cost_usd":0.5},"breakdown":[{"timestamp":"2026","tokens":7}]}"#;
        let billing = r#"{"project_id":"p","platform":{"requests":2,"input_tokens":3,"output_tokens":4,"cost_usd":0.5,"by_model":[]}}"#;
        for json in [sdk, billing] {
            let usage: UsageReport = serde_json::from_str(json).unwrap();
            assert_eq!((usage.totals.tokens(), usage.totals.cost_usd), (7, 0.5), "{json}");
        }
        let usage: UsageReport = serde_json::from_str(r#"{"totals":null,"sessions":null}"#).unwrap();
        assert_eq!((usage.totals.tokens(), usage.sessions.len()), (0, 0));
        let models: Models = serde_json::from_str(r#"{"object":"list","data":[{"id":"m","owned_by":"p"}]}"#).unwrap();
        assert_eq!((models.data[0].id.as_str(), models.data[0].extra["owned_by"].as_str()), ("m", Some("p")));
    }
}
