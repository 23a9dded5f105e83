//! A Supabase Auth that rotates refresh tokens and revokes the whole session when one is used again too late.

use std::sync::{Arc, Mutex, MutexGuard};

use behest_client::auth::{MemoryStorage, Supabase, SupabaseBuilder};
use behest_client::client::transport::{Request, Transport};
use behest_client::testing::{FUNCTION, Reply, SUPABASE, World, default_reply, header, jwt};
use serde_json::{Value, json};

pub const KEY: &str = "sb-project-auth-token";
pub const HOUR: u64 = 3600;

/// What the scripted server knows. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    pub world: World,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Refresh tokens of the one session, oldest first.
    tokens: Vec<String>,
    revoked: bool,
    /// Answers to give in place of the right ones, by a part of the path.
    faults: Vec<(&'static str, Reply)>,
    /// Does a token that was rotated away still get the newest one, if it is the one before it?
    is_lenient: bool,
    /// How long answers with tokens are on their way, in milliseconds.
    delays: Vec<u64>,
    user: Value,
    login: u32,
    challenge: Option<String>,
}

impl Server {
    pub fn new() -> Self {
        let state =
            State { is_lenient: true, user: json!({ "id": "user-1", "email": "ada@example.com" }), ..State::default() };
        let server = Self { world: World::new(), state: Arc::new(Mutex::new(state)) };
        let script = server.clone();
        server.world.serve(move |request, log| {
            if request.url == FUNCTION || !request.url.contains("/auth/v1/") {
                return default_reply(request, log);
            }
            script.answer(request)
        });
        server
    }

    /// A page of this project, with a storage of its own.
    pub fn page(&self) -> Supabase {
        self.tab(&MemoryStorage::new())
    }

    /// One of the tabs that share a storage.
    pub fn tab(&self, storage: &MemoryStorage) -> Supabase {
        self.builder().storage(storage.clone()).build().unwrap()
    }

    pub fn builder(&self) -> SupabaseBuilder {
        Supabase::builder(SUPABASE, "sb_publishable_x").transport(self.world.clone())
    }

    /// A page, somebody signed in.
    pub fn signed_in(&self) -> Supabase {
        let supabase = self.page();
        self.world.run(supabase.sign_in_with_password("ada@example.com", "correct horse")).unwrap();
        supabase
    }

    /// The next request to this path is answered so.
    pub fn fault(&self, path: &'static str, reply: Reply) {
        self.state().faults.push((path, reply));
    }

    /// Every one of the next `times`.
    pub fn faults(&self, path: &'static str, reply: &Reply, times: usize) {
        (0..times).for_each(|_| self.fault(path, reply.clone()));
    }

    pub fn strict(&self) {
        self.state().is_lenient = false;
    }

    /// The next answers with tokens are so long on their way.
    pub fn delays(&self, millis: impl IntoIterator<Item = u64>) {
        self.state().delays = millis.into_iter().collect();
    }

    pub fn is_revoked(&self) -> bool {
        self.state().revoked
    }

    /// Requests for a renewal so far.
    pub fn renewals(&self) -> usize {
        self.world.log(|log| log.to("grant_type=refresh_token"))
    }

    /// The latest request to Supabase Auth.
    pub fn last(&self) -> Request {
        self.world
            .log(|log| log.requests.iter().rev().find(|request| request.url.contains("/auth/v1/")).cloned())
            .unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn answer(&self, request: &Request) -> Reply {
        assert_eq!(header(request, "apikey"), Some("sb_publishable_x"));
        let now = self.world.now().wall.as_secs();
        let mut state = self.state();
        let path = request.url.strip_prefix(SUPABASE).unwrap();
        if let Some(place) = state.faults.iter().position(|(part, _)| path.contains(part)) {
            return state.faults.remove(place).1;
        }
        let body: Value = request.body.as_deref().map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
        match path {
            "/auth/v1/token?grant_type=refresh_token" => state.refresh(body["refresh_token"].as_str().unwrap(), now),
            "/auth/v1/token?grant_type=password" if body["password"] != "correct horse" => {
                refusal(400, "invalid_credentials")
            }
            "/auth/v1/token?grant_type=pkce" => {
                state.challenge = body["code_verifier"].as_str().map(str::to_owned);
                state.begin(now)
            }
            "/auth/v1/user" if state.revoked => refusal(403, "session_not_found"),
            "/auth/v1/user" => {
                if let Value::Object(data) = &body["data"] {
                    state.user["user_metadata"] = data.clone().into();
                }
                Reply::json(200, state.user.to_string())
            }
            path if path.starts_with("/auth/v1/logout") => {
                state.revoked |= !path.ends_with("others");
                Reply::bytes(204, "", [])
            }
            "/auth/v1/otp" | "/auth/v1/recover" => Reply::json(200, "{}"),
            _ => state.begin(now),
        }
    }

    /// The verifier that came with the code.
    pub fn verifier(&self) -> String {
        self.state().challenge.clone().unwrap()
    }
}

impl State {
    fn begin(&mut self, now: u64) -> Reply {
        (self.revoked, self.login) = (false, self.login + 1);
        self.tokens.clear();
        self.issue(now)
    }

    fn issue(&mut self, now: u64) -> Reply {
        self.tokens.push(format!("refresh-{}-{}", self.login, self.tokens.len()));
        self.session(now)
    }

    fn session(&mut self, now: u64) -> Reply {
        let (number, newest) = (self.tokens.len(), self.tokens.last().unwrap());
        let claims = json!({ "sub": self.user["id"], "session_id": format!("login-{}", self.login), "role": "authenticated",
                             "iat": now, "exp": now + HOUR, "n": number });
        let body = json!({ "access_token": jwt(&claims), "token_type": "bearer", "expires_in": HOUR, "expires_at": now + HOUR,
                           "refresh_token": newest, "user": self.user });
        let reply = Reply::json(200, body.to_string());
        if self.delays.is_empty() {
            return reply;
        }
        reply.delayed(std::time::Duration::from_millis(self.delays.remove(0)))
    }

    fn refresh(&mut self, token: &str, now: u64) -> Reply {
        let place = self.tokens.iter().position(|known| known == token);
        match place.map(|place| self.tokens.len() - 1 - place) {
            _ if self.revoked => refusal(400, "refresh_token_not_found"),
            Some(0) => self.issue(now),
            Some(1) if self.is_lenient => self.session(now),
            Some(_) => {
                // Without leniency only the caller is refused: tabs that were quicker must not pay for it.
                self.revoked = self.is_lenient;
                refusal(400, "refresh_token_already_used")
            }
            None => refusal(400, "refresh_token_not_found"),
        }
    }
}

pub fn refusal(status: u16, code: &str) -> Reply {
    Reply::json(status, json!({ "code": code, "message": format!("Refused: {code}") }).to_string())
}
