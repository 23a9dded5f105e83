//! A running system, and raw HTTP to it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use behest_local::{Config, Running};
use http::{HeaderMap, StatusCode};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

/// No step of a test takes this long unless it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// An origin whose pages may call.
pub(crate) const PAGE: &str = "http://localhost:5173";
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) http: Client,
}

/// A signed-in user and the gateway token minted for the session.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) user: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{why}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and code of an error in the shape of gateway and function.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// Sends it and reads the answer, within the deadline.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    in_time(async { Answer::of(request.send().await.unwrap()).await }).await
}

pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("not done in time")
}

/// What tests change nothing about: a page on the usual port, and a responder that does not dawdle.
pub(crate) fn config() -> Config {
    Config { page_port: 5173, pace: Duration::from_millis(1), ..Config::default() }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { running: in_time(behest_local::start(config)).await.unwrap(), http }
    }

    pub(crate) fn counted(&self, name: &str) -> u64 {
        self.running.counters().get(name)
    }

    pub(crate) fn get_supabase(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.running.supabase_url);
        self.http.get(url).header("apikey", &self.running.publishable_key)
    }

    pub(crate) fn post_supabase(&self, path: &str, body: &Value) -> RequestBuilder {
        let url = format!("{}{path}", self.running.supabase_url);
        self.http.post(url).header("apikey", &self.running.publishable_key).body(body.to_string())
    }

    pub(crate) fn function(&self) -> RequestBuilder {
        self.http.post(format!("{}/functions/v1/behest-token", self.running.supabase_url))
    }

    pub(crate) fn get_gateway(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.running.gateway_url))
    }

    pub(crate) fn post_gateway(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.running.gateway_url)).body(body.to_string())
    }

    pub(crate) fn chat(&self, token: &str, body: &Value) -> RequestBuilder {
        self.post_gateway("/v1/chat/completions", body).bearer_auth(token)
    }

    pub(crate) async fn sign_up(&self, email: &str) -> Signed {
        let body = json!({ "email": email, "password": PASSWORD });
        signed(&send(self.post_supabase("/auth/v1/signup", &body)).await)
    }

    pub(crate) async fn sign_in(&self, email: &str) -> Signed {
        let body = json!({ "email": email, "password": PASSWORD });
        signed(&send(self.post_supabase("/auth/v1/token?grant_type=password", &body)).await)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        let body = json!({ "refresh_token": token });
        send(self.post_supabase("/auth/v1/token?grant_type=refresh_token", &body)).await
    }

    /// A gateway token through the token function.
    pub(crate) async fn token(&self, signed: &Signed) -> String {
        let answer = send(self.function().bearer_auth(&signed.access)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// A gateway token straight from the mint.
    pub(crate) async fn mint(&self, body: &Value) -> Answer {
        let key = self.running.behest_key.expose();
        send(self.post_gateway("/v1/auth/mint", body).bearer_auth(key)).await
    }

    pub(crate) async fn minted(&self, user: &str) -> String {
        let answer = self.mint(&json!({ "user_id": user, "session_id": "minted" })).await;
        answer.json()["jwt"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
    }

    /// Waits until the servers counted this.
    pub(crate) async fn reached(&self, name: &str, count: u64) {
        in_time(self.running.counters().reached(name, count)).await;
    }
}

pub(crate) fn signed(answer: &Answer) -> Signed {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let session = answer.json();
    let text = |pointer: &str| session.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    Signed { user: text("/user/id"), access: text("/access_token"), refresh: text("/refresh_token") }
}

/// Part `index` of a JWT: 0 the header, 1 the claims.
pub(crate) fn jwt_part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The token with one part changed, its signature as it was.
pub(crate) fn jwt_with(token: &str, index: usize, change: impl FnOnce(&mut Value)) -> String {
    let mut part = jwt_part(token, index);
    change(&mut part);
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[index] = URL_SAFE_NO_PAD.encode(part.to_string());
    parts.join(".")
}

/// The `data` of each event of a stream's text.
pub(crate) fn events(text: &str) -> Vec<String> {
    let data = text.split("\n\n").filter_map(|event| event.trim_start().strip_prefix("data: "));
    data.map(str::to_owned).collect()
}
