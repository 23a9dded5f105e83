//! `/v1/threads`, and the part that stored conversations play in a chat.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use behest_client::wire::is_id;
use serde_json::{Value, json};

use super::error::GatewayError;
use super::request::ChatRequest;
use super::state::Gateway;
use crate::domain::clock::rfc3339;
use crate::domain::content::text_of;
use crate::store::threads::{self, Thread, Turn};

/// `GET /v1/threads`: the caller's own, last used first.
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
) -> Result<Json<Vec<Thread>>, GatewayError> {
    gateway.shared.counters.add("threads.list");
    let user = gateway.caller(&headers).await?.uid;
    Ok(Json(gateway.shared.store.run(move |db| threads::list(db, &user)).await?))
}

/// `GET /v1/threads/{id}`
pub(crate) async fn get(
    State(gateway): State<Gateway>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Thread>, GatewayError> {
    gateway.shared.counters.add("threads.get");
    let Path(id) = id?;
    let user = gateway.caller(&headers).await?.uid;
    let thread = gateway.shared.store.run(move |db| threads::get(db, &user, &id)).await?;
    thread.map(Json).ok_or_else(not_found)
}

/// `GET /v1/threads/{id}/messages`: oldest first.
pub(crate) async fn messages(
    State(gateway): State<Gateway>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Vec<Value>>, GatewayError> {
    gateway.shared.counters.add("threads.messages");
    let Path(id) = id?;
    let user = gateway.caller(&headers).await?.uid;
    let found = gateway.shared.store.run(move |db| {
        let known = threads::get(db, &user, &id)?.is_some();
        known.then(|| threads::messages(db, &user, &id)).transpose()
    });
    let messages = found.await?.ok_or_else(not_found)?;
    let dated = |(mut message, at): (Value, i64)| {
        message["created_at"] = json!(rfc3339(at));
        message
    };
    Ok(Json(messages.into_iter().map(dated).collect()))
}

/// `DELETE /v1/threads/{id}`
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, GatewayError> {
    gateway.shared.counters.add("threads.delete");
    let Path(id) = id?;
    let user = gateway.caller(&headers).await?.uid;
    let deleted = gateway.shared.store.run(move |db| threads::delete(db, &user, &id)).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}

fn not_found() -> GatewayError {
    GatewayError::new(StatusCode::NOT_FOUND, "not_found", "You have no thread with this id")
}

/// The thread a chat belongs to.
pub(crate) fn thread_id(headers: &HeaderMap) -> Result<Option<String>, GatewayError> {
    let Some(value) = headers.get("x-thread-id") else { return Ok(None) };
    match value.to_str() {
        Ok(id) if is_id(id) => Ok(Some(id.to_owned())),
        _ => Err(GatewayError::invalid("X-Thread-Id must be 1 to 255 visible ASCII characters")),
    }
}

impl Gateway {
    /// Puts the thread's stored messages before the new ones, and says what the chat will add.
    pub(crate) async fn recall(
        &self,
        user_id: String,
        thread_id: String,
        request: &mut ChatRequest,
    ) -> Result<Turn, GatewayError> {
        let (user, thread) = (user_id.clone(), thread_id.clone());
        let stored = self.shared.store.run(move |db| threads::messages(db, &user, &thread)).await?;
        let continues = !stored.is_empty();
        let stored = stored.into_iter().map(|(message, _)| message).collect();
        let (all, messages) = merge(stored, request.take_messages());
        request.set_messages(all);
        Ok(Turn { user_id, thread_id, continues, messages })
    }
}

/// What goes to the model, and what of it is new in the thread.
///
/// Instructions come first and are not stored. A caller who repeats the history is not made to pay for it twice.
fn merge(stored: Vec<Value>, asked: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let is_instruction = |message: &Value| matches!(role(message), "system" | "developer");
    let (instructions, mut said): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_instruction);
    let repeats = said.len() >= stored.len() && stored.iter().zip(&said).all(|(old, new)| is_same(old, new));
    let new = if repeats { said.split_off(stored.len()) } else { said };
    (instructions.into_iter().chain(stored).chain(new.iter().cloned()).collect(), new)
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn is_same(old: &Value, new: &Value) -> bool {
    let text = |message: &Value| message.get("content").map(text_of).unwrap_or_default();
    role(old) == role(new) && text(old) == text(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: &str, content: &str) -> Value {
        json!({ "role": role, "content": content })
    }

    #[test]
    fn history_goes_before_what_is_new_and_is_not_doubled() {
        let (system, hi, hello, more) =
            (said("system", "Be brief."), said("user", "Hi"), said("assistant", "Hello"), said("user", "More"));
        let stored = vec![hi.clone(), hello.clone()];
        let whole = vec![system.clone(), hi.clone(), hello.clone(), more.clone()];
        for asked in [vec![system.clone(), more.clone()], whole.clone()] {
            assert_eq!(merge(stored.clone(), asked), (whole.clone(), vec![more.clone()]));
        }
        let parts = json!({ "role": "user", "content": [{ "type": "text", "text": "Hi" }] });
        let (_, new) = merge(stored.clone(), vec![parts, hello.clone(), more.clone()]);
        assert_eq!(new, vec![more.clone()], "the same text in parts is the same");
        let (all, new) = merge(stored, vec![hi.clone()]);
        assert_eq!((all.len(), new), (3, vec![hi]), "asked again, and not the whole history");
    }
}
