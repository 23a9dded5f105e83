//! The rest of the gateway's data plane: threads, usage, models.

use super::Client;
use super::gateway::{Call, Reply};
use crate::{Error, Reason};

/// Which usage to report. Dates and times in the forms the gateway documents, such as `2026-11-21` or RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// Not before this.
    pub from: Option<String>,
    /// Not after this.
    pub to: Option<String>,
    /// `minute`, `hour` or `day`.
    pub granularity: Option<String>,
}

impl Client {
    /// The user's threads.
    pub async fn threads(&self) -> Result<Reply, Error> {
        self.get("/v1/threads").await
    }

    /// One thread.
    pub async fn thread(&self, id: &str) -> Result<Reply, Error> {
        self.get(thread_path(id)?).await
    }

    /// The messages of a thread, oldest first.
    pub async fn thread_messages(&self, id: &str) -> Result<Reply, Error> {
        self.get(thread_path(id)? + "/messages").await
    }

    /// Deletes a thread and its messages. The gateway answers without a body.
    pub async fn delete_thread(&self, id: &str) -> Result<Reply, Error> {
        let path = thread_path(id)?;
        self.call_json(Call { method: "DELETE", path, accept: "application/json", body: None }).await
    }

    /// What the user has spent, as the gateway reports it.
    pub async fn usage(&self, query: &UsageQuery) -> Result<Reply, Error> {
        let fields = [("from", &query.from), ("to", &query.to), ("granularity", &query.granularity)];
        let fields = fields.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?))));
        let query = fields.collect::<Vec<_>>().join("&");
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let found = async {
            match self.get(format!("/v1/usage{query}")).await {
                // Both paths are documented; gateways serve one of them.
                Err(error) if error.status() == Some(404) => self.get(format!("/v1/billing/usage{query}")).await,
                result => result,
            }
        };
        self.bounded(found).await
    }

    /// The models the gateway offers.
    pub async fn models(&self) -> Result<Reply, Error> {
        self.get("/v1/models").await
    }
}

fn thread_path(id: &str) -> Result<String, Error> {
    // URLs resolve these two away, encoded or not, and then the path is another one.
    if matches!(id, "" | "." | "..") {
        return Err(Error::new(Reason::InvalidRequest, "a thread id cannot be empty, `.` or `..`"));
    }
    Ok(format!("/v1/threads/{}", encoded(id)))
}

/// Percent-encoded as a part of a path or a query: all but [unreserved](https://www.rfc-editor.org/rfc/rfc3986#section-2.3) characters.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
