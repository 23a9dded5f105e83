//! Tools that a model may call, and that run by themselves.

use std::fmt::{self, Display};
use std::future::ready;

use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::engine::{MOST_ROUNDS, ToolCall, told_error};
use crate::platform::{BoxFuture, MaybeSend, MaybeSync};

/// Tools that the model of a [`Chat`](super::Chat) may call. What they give goes back to the model, which then goes on.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use behest_client::Error;
/// use behest_client::client::{Chat, ChatRequest, Tools};
/// use serde_json::json;
/// # use behest_client::testing::World;
/// # let client = World::new().client();
///
/// #[derive(serde::Deserialize)]
/// struct Place {
///     city: String,
/// }
///
/// let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
/// let tools = Tools::new().add("weather", "The weather of a city.", parameters, |place: Place| async move {
///     Ok::<_, Error>(json!({"city": place.city, "celsius": 21}))
/// });
/// let chat = Chat::with_tools(&client, ChatRequest::new([]), tools, |state| println!("{:?}", state.status));
/// # }
/// ```
pub struct Tools {
    tools: Vec<Tool>,
    pub(super) max_rounds: u32,
}

struct Tool {
    name: String,
    description: String,
    parameters: Value,
    run: Box<dyn Run>,
}

/// Arguments in, what the model is told out.
trait Run: MaybeSend + MaybeSync {
    fn run(&self, arguments: &str) -> BoxFuture<'static, String>;
}

impl<F: Fn(&str) -> BoxFuture<'static, String> + MaybeSend + MaybeSync> Run for F {
    fn run(&self, arguments: &str) -> BoxFuture<'static, String> {
        self(arguments)
    }
}

impl Tools {
    /// None yet.
    pub fn new() -> Self {
        Self { tools: Vec::new(), max_rounds: MOST_ROUNDS }
    }

    /// With another tool. `parameters` is the JSON Schema of its arguments, which are read into `Args`; a
    /// [`Value`] takes any.
    ///
    /// A result that is a string is sent as it is, any other as JSON; an error as `{"error": "…"}`, and so are arguments
    /// that do not fit.
    #[must_use]
    pub fn add<Args, Answer, Fut, T, E>(
        mut self,
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
        answer: Answer,
    ) -> Self
    where
        Args: DeserializeOwned,
        Answer: Fn(Args) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<T, E>> + MaybeSend + 'static,
        T: Serialize,
        E: Display,
    {
        let name = name.into();
        let of = name.clone();
        let run = move |arguments: &str| -> BoxFuture<'static, String> {
            let arguments = if arguments.trim_ascii().is_empty() { "{}" } else { arguments };
            match serde_json::from_str(arguments).map(&answer) {
                Ok(result) => Box::pin(async move {
                    match result.await {
                        Ok(result) => text_of(&result),
                        Err(error) => told_error(&error.to_string()),
                    }
                }),
                Err(error) => Box::pin(ready(told_error(&format!("the arguments of {of} do not fit: {error}")))),
            }
        };
        self.tools.push(Tool { name, description: description.into(), parameters, run: Box::new(run) });
        self
    }

    /// How often the model may call tools in one turn; past it the turn fails with
    /// [`Reason::BudgetExhausted`](crate::Reason::BudgetExhausted). Default 8.
    #[must_use]
    pub fn max_rounds(self, max_rounds: u32) -> Self {
        Self { max_rounds, ..self }
    }

    /// As OpenAI's API describes tools.
    pub(super) fn definitions(&self) -> Value {
        let definition = |Tool { name, description, parameters, .. }: &Tool| json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}});
        self.tools.iter().map(definition).collect()
    }

    /// The answers to these calls, by their ids and in their order. They run at the same time.
    pub(super) async fn answers(&self, calls: &[ToolCall]) -> Vec<(String, String)> {
        let answer = |call: &ToolCall| {
            let tool = self.tools.iter().find(|tool| tool.name == call.name);
            let (id, text) = (call.id.clone(), tool.map(|tool| tool.run.run(&call.arguments)));
            let unknown = told_error(&format!("there is no tool {}", call.name));
            async move {
                match text {
                    Some(text) => (id, text.await),
                    None => (id, unknown),
                }
            }
        };
        join_all(calls.iter().map(answer)).await
    }
}

fn text_of(result: &impl Serialize) -> String {
    match serde_json::to_value(result) {
        Ok(Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(error) => told_error(&format!("the result is not representable as JSON: {error}")),
    }
}

impl Default for Tools {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.tools.iter().map(|tool| &tool.name).collect::<Vec<_>>();
        f.debug_struct("Tools").field("names", &names).field("max_rounds", &self.max_rounds).finish()
    }
}
