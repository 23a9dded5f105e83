//! The wasm-bindgen exports behind the npm package. JSON stays text here: JavaScript parses it faster and smaller.

mod abort;
mod session;
mod stream;

use std::future::Future;
use std::time::Duration;

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::AbortSignal;

use crate::client::transport::{BoxFuture, BrowserTransport};
use crate::client::{Budget, Client, ConversationOptions, Cost, Reply, Retry, Timeouts, Trace, UsageQuery};
use crate::{Error, Reason, Secret};
use abort::unless_aborted;
use session::JsSession;
use stream::Stream;

/// A client, as the JavaScript facade sees it. Every method takes `&self` and clones the inner handle
/// before its first await, so no borrow lives across one.
#[wasm_bindgen]
pub struct Core(Client);

#[wasm_bindgen]
impl Core {
    /// From the options of `createClient` and its session callback.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &Object, get_access_token: Function) -> Result<Core, JsValue> {
        build(options, get_access_token).map(Core).map_err(to_js)
    }

    /// The answer's text.
    pub fn ask(&self, text: String, options: Object) -> Promise {
        self.start(options, move |client| async move { client.ask(text).await.map(JsValue::from) })
    }

    /// `[json, trace]`.
    pub fn chat(&self, body: String, options: Object) -> Promise {
        self.start(options, move |client| async move { client.chat_json(body).await.map(reply) })
    }

    /// A stream of JSON chunks.
    #[wasm_bindgen(js_name = chatStream)]
    pub fn chat_stream(&self, body: String, options: Object) -> Promise {
        self.start(options, move |client| async move {
            client.chat_stream_json(body).await.map(|stream| Stream::new(stream).into())
        })
    }

    /// One of the gateway's other resources as `[json, trace]`. `id` is that of a thread, `query` that of a usage report.
    pub fn resource(&self, kind: String, id: String, query: Object, options: Object) -> Promise {
        self.start(options, move |client| async move {
            let found = match kind.as_str() {
                "usage" => client.usage(&usage_query(&query)?).await,
                "models" => client.models().await,
                "threads" => client.threads().await,
                "thread" => client.thread(&id).await,
                "messages" => client.thread_messages(&id).await,
                _ => client.delete_thread(&id).await,
            };
            found.map(reply)
        })
    }

    /// Gets a token now.
    pub fn warm(&self) -> Promise {
        self.start(Object::new(), |client| async move { client.warm().await.map(|()| JsValue::UNDEFINED) })
    }

    /// `[sessionId, remainingMs, ttlMs]`, or nothing.
    pub fn peek(&self) -> Option<Array> {
        let info = self.0.token_info()?;
        let millis = |time: Duration| JsValue::from(time.as_secs_f64() * 1000.0);
        Some(Array::of3(&info.session_id.into(), &millis(info.remaining), &millis(info.ttl)))
    }

    /// Forgets the token.
    pub fn invalidate(&self) {
        self.0.invalidate_token();
    }

    /// Says who is signed in now.
    #[wasm_bindgen(js_name = sessionChanged)]
    pub fn session_changed(&self, access_token: Option<String>) {
        self.0.session_changed(access_token.map(Secret::new).as_ref());
    }

    /// The session id that calls carry.
    #[wasm_bindgen(getter, js_name = sessionId)]
    pub fn session_id(&self) -> Option<String> {
        self.0.session_id()
    }

    /// A client with a session of its own.
    pub fn conversation(&self, options: &Object) -> Result<Core, JsValue> {
        let conversation = conversation_options(options).and_then(|options| self.0.conversation(options));
        conversation.map(Core).map_err(to_js)
    }
}

impl Core {
    /// The client with the options of one call, and a promise of what `call` makes of it.
    fn start<F>(&self, options: Object, call: impl FnOnce(Client) -> F) -> Promise
    where
        F: Future<Output = Result<JsValue, Error>> + 'static,
    {
        match call_options(&self.0, &options) {
            Ok(client) => promise(field(&options, "signal").dyn_into().ok(), call(client)),
            Err(error) => Promise::reject(&to_js(error)),
        }
    }
}

fn call_options(client: &Client, options: &Object) -> Result<Client, Error> {
    let mut client = client.clone();
    if let Some(total) = millis(options, "timeoutMs")? {
        client = client.with_timeout(total);
    }
    if let Some(retries) = number(options, "maxRetries")? {
        client = client.with_max_retries(retries as u32);
    }
    Ok(client)
}

fn usage_query(query: &Object) -> Result<UsageQuery, Error> {
    Ok(UsageQuery { from: text(query, "from")?, to: text(query, "to")?, granularity: text(query, "granularity")? })
}

fn conversation_options(options: &Object) -> Result<ConversationOptions, Error> {
    let budget = match object(options, "budget")? {
        None => None,
        Some(budget) => Some(Budget {
            tokens: number(&budget, "tokens")?.map(|tokens| tokens as u64),
            cost: match number(&budget, "cost")? {
                None => None,
                Some(limit) => Some(Cost {
                    limit,
                    prompt_price: required(&budget, "promptPrice")?,
                    completion_price: required(&budget, "completionPrice")?,
                }),
            },
        }),
    };
    Ok(ConversationOptions { session_id: text(options, "sessionId")?, thread_id: text(options, "threadId")?, budget })
}

fn required(object: &Object, name: &str) -> Result<f64, Error> {
    number(object, name)?.ok_or_else(|| invalid(name, "is missing"))
}

fn text(object: &Object, name: &str) -> Result<Option<String>, Error> {
    match field(object, name) {
        value if value.is_undefined() || value.is_null() => Ok(None),
        value => value.as_string().map(Some).ok_or_else(|| invalid(name, "must be a string")),
    }
}

fn build(options: &Object, get_access_token: Function) -> Result<Client, Error> {
    let text = |name: &str| text(options, name);
    let mut builder = Client::builder(text("behestUrl")?.ok_or_else(|| invalid("behestUrl", "is missing"))?)
        .session(JsSession::new(get_access_token))
        .timeouts(timeouts(options)?);
    builder = match (text("tokenUrl")?, text("supabaseUrl")?) {
        (Some(url), _) => builder.token_url(url),
        (None, Some(url)) => builder.function(url, text("functionName")?.as_deref().unwrap_or("behest-token")),
        (None, None) => return Err(invalid("supabaseUrl", "is missing (or give tokenUrl)")),
    };
    if let Some(key) = text("apiKey")? {
        builder = builder.api_key(key);
    }
    if let Some(margin) = millis(options, "marginMs")? {
        builder = builder.margin(margin);
    }
    if let Some(retries) = number(options, "maxRetries")? {
        builder = builder.max_retries(retries as u32);
    }
    let fetch = field(options, "fetch");
    if !fetch.is_undefined() {
        let fetch = fetch.dyn_into::<Function>().map_err(|_| invalid("fetch", "must be a function"))?;
        builder = builder.transport(BrowserTransport::with_fetch(fetch));
    }
    builder.build()
}

fn timeouts(options: &Object) -> Result<Timeouts, Error> {
    let mut timeouts = Timeouts::default();
    let Some(given) = object(options, "timeouts")? else { return Ok(timeouts) };
    let given = &given;
    let limits = [
        ("sessionMs", &mut timeouts.session),
        ("tokenMs", &mut timeouts.token),
        ("firstByteMs", &mut timeouts.first_byte),
        ("idleMs", &mut timeouts.idle),
    ];
    for (name, limit) in limits {
        if let Some(time) = millis(given, name)? {
            *limit = time;
        }
    }
    timeouts.total = millis(given, "totalMs")?;
    Ok(timeouts)
}

fn field(object: &Object, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn object(options: &Object, name: &str) -> Result<Option<Object>, Error> {
    match field(options, name) {
        value if value.is_undefined() || value.is_null() => Ok(None),
        value if value.is_object() => Ok(Some(value.unchecked_into())),
        _ => Err(invalid(name, "must be an object")),
    }
}

fn number(object: &Object, name: &str) -> Result<Option<f64>, Error> {
    match field(object, name) {
        value if value.is_undefined() || value.is_null() => Ok(None),
        value => {
            let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
            number.map(Some).ok_or_else(|| invalid(name, "must be a finite number of zero or more"))
        }
    }
}

fn millis(object: &Object, name: &str) -> Result<Option<Duration>, Error> {
    let millis = number(object, name)?;
    let time = millis.map(|millis| Duration::try_from_secs_f64(millis / 1000.0));
    time.transpose().map_err(|_| invalid(name, "is too large"))
}

fn invalid(option: &str, what: &str) -> Error {
    Error::new(Reason::InvalidConfig, format!("the option {option} {what}"))
}

/// One way out for every asynchronous export: the module holds this code once, not once for each of them.
fn promise(signal: Option<AbortSignal>, call: impl Future<Output = Result<JsValue, Error>> + 'static) -> Promise {
    let call: BoxFuture<'static, _> = Box::pin(call);
    future_to_promise(async move { unless_aborted(signal, call).await.map_err(to_js) })
}

fn reply(reply: Reply) -> JsValue {
    Array::of2(&reply.json.into(), &trace(&reply.trace)).into()
}

/// [`Trace`] with times in milliseconds.
fn trace(trace: &Trace) -> JsValue {
    let millis = |time: Option<Duration>| JsValue::from(time.map(|time| time.as_secs_f64() * 1000.0));
    let retries = Array::new();
    for Retry { reason, status, waited } in &trace.retries {
        retries.push(&record([
            ("reason", reason.as_str().into()),
            ("status", (*status).into()),
            ("waitedMs", millis(Some(*waited))),
        ]));
    }
    record([
        ("cached", trace.cached.into()),
        ("sessionMs", millis(trace.session)),
        ("mintMs", millis(trace.mint)),
        ("headersMs", millis(trace.headers)),
        ("firstContentMs", millis(trace.first_content)),
        ("retries", retries.into()),
        ("sessionId", trace.session_id.as_str().into()),
        ("traceId", trace.trace_id.as_deref().into()),
    ])
}

fn record<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a field of a fresh plain object cannot fail.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

/// The fields of the facade's `BehestError`.
fn to_js(error: Error) -> JsValue {
    record([
        ("reason", error.reason().as_str().into()),
        ("action", error.action().as_str().into()),
        ("message", error.message().into()),
        ("hint", error.hint().into()),
        ("status", error.status().into()),
        ("retryAfterMs", error.retry_after().map(|wait| wait.as_secs_f64() * 1000.0).into()),
        ("code", error.code().into()),
        ("traceId", error.trace_id().into()),
    ])
}
