//! Sign-in, sign-out and the session in between.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::flight::Flight;
use super::inner::{Failed, Inner, Renewed};
use super::keeper::Keeper;
use super::options::{AuthEvent, AuthOptions, Scope, UserChanges, VerifyType};
use super::pkce::{Address, challenge, verifier};
use super::reply;
use super::requests::Ask;
use super::rules::Step;
use super::session::{AuthSession, User};
use super::storage::{Kept, MemoryStorage, PageStorage, Storage};
use crate::client::{ClientBuilder, Problems, SessionSource, Watcher};
use crate::platform::{BoxFuture, DefaultTransport, MaybeSend, MaybeSync, OnThread, Transport, page};
use crate::text::{find, split_once};
use crate::{Error, Reason, Secret};

/// What a redirect brings back.
const BROUGHT_BACK: [&str; 5] = ["code", "error", "error_code", "error_description", "sb"];

/// The users of a Supabase project: signs them in and out, and keeps the session fresh.
///
/// Cheap to clone; clones are the same session. `Send + Sync` everywhere; on wasm32 it must be used on the thread that made
/// it, and panics on any other. See the [module](super) for where the session is and when it is renewed.
#[derive(Clone)]
pub struct Supabase {
    inner: OnThread<Arc<Inner>>,
    options: Arc<AuthOptions>,
}

/// What came of a sign-up.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SignUp {
    /// The user is signed in.
    SignedIn(AuthSession),
    /// The address has to be confirmed first: a letter is on its way, or the address has an account already, which
    /// Supabase does not tell apart.
    ConfirmationSent(User),
}

impl SignUp {
    /// The session, if the user is signed in.
    pub fn session(&self) -> Option<&AuthSession> {
        match self {
            Self::SignedIn(session) => Some(session),
            Self::ConfirmationSent(_) => None,
        }
    }
}

/// Builds a [`Supabase`].
pub struct SupabaseBuilder {
    url: String,
    key: String,
    storage: Option<Box<dyn Storage>>,
    storage_key: Option<String>,
    timeout: Duration,
    transport: Option<Arc<dyn Transport>>,
}

impl SupabaseBuilder {
    /// Another place for the session.
    #[must_use]
    pub fn storage(self, storage: impl Storage) -> Self {
        Self { storage: Some(Box::new(storage)), ..self }
    }

    /// Another name for the session in its storage: that of supabase-js's option `storageKey`.
    #[must_use]
    pub fn storage_key(self, name: impl Into<String>) -> Self {
        Self { storage_key: Some(name.into()), ..self }
    }

    /// The limit for each request. Default 8 s.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self { timeout: limit, ..self }
    }

    /// Another door to the outside, for tests or an HTTP client of your own.
    #[must_use]
    pub fn transport(self, transport: impl Transport) -> Self {
        Self { transport: Some(Arc::new(transport)), ..self }
    }

    /// The project.
    ///
    /// # Errors
    /// [`Reason::InvalidConfig`] names everything that is missing or malformed.
    pub fn build(self) -> Result<Supabase, Error> {
        let mut problems = Problems::default();
        let url = problems.base_url("the Supabase URL", &self.url);
        problems.publishable_key("the publishable key", &self.key);
        problems.none()?;
        // What nobody else can write changes only here; the page's storage has a channel.
        let is_own = self.storage.is_none();
        let storage_key = self.storage_key.unwrap_or_else(|| usual_storage_key(&url));
        let is_page = is_own && page::has_storage();
        let storage = self.storage.unwrap_or_else(|| match is_page {
            true => Box::new(PageStorage),
            false => Box::new(MemoryStorage::new()),
        });
        let is_default = self.transport.is_none();
        let inner = Inner {
            url,
            key: self.key,
            timeout: self.timeout,
            transport: self.transport.unwrap_or_else(|| Arc::new(DefaultTransport::default())),
            is_default,
            keeper: Keeper::new(Kept::new(storage), storage_key, is_page, is_own && !is_page),
            renewal: Mutex::default(),
        };
        Ok(Supabase { inner: OnThread::new(Arc::new(inner)), options: Arc::default() })
    }
}

/// supabase-js's: the host's first label says which project it is.
fn usual_storage_key(url: &str) -> String {
    let host = find(url, "://").and_then(|at| url.get(at + 3..)).unwrap_or(url);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let label = split_once(host, b'.').map_or(host, |(label, _)| label);
    ["sb-", &label.to_ascii_lowercase(), "-auth-token"].concat()
}

impl Supabase {
    /// The project at this URL (`https://<ref>.supabase.co`), with its publishable (or older `anon`) key.
    ///
    /// # Errors
    /// [`Reason::InvalidConfig`] if one is malformed, or the key is a secret one.
    pub fn new(url: impl Into<String>, publishable_key: impl Into<String>) -> Result<Self, Error> {
        Self::builder(url, publishable_key).build()
    }

    /// Begins with the project's URL and its publishable key.
    pub fn builder(url: impl Into<String>, publishable_key: impl Into<String>) -> SupabaseBuilder {
        SupabaseBuilder {
            url: url.into(),
            key: publishable_key.into(),
            storage: None,
            storage_key: None,
            timeout: Duration::from_secs(8),
            transport: None,
        }
    }

    /// This project with more to say in each call: where links lead back to, metadata of new users, a CAPTCHA's token.
    ///
    /// ```
    /// # use behest_client::auth::{AuthOptions, Supabase};
    /// # async fn example(supabase: Supabase) -> Result<(), behest_client::Error> {
    /// let options = AuthOptions::new().redirect_to("https://example.com/welcome");
    /// supabase.with_options(options).send_code("ada@example.com").await
    /// # }
    /// ```
    #[must_use]
    pub fn with_options(&self, options: AuthOptions) -> Self {
        Self { options: Arc::new(options), ..self.clone() }
    }

    /// The project's URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Who is signed in, with an access token that is good for a while yet; `None` if nobody is.
    ///
    /// # Errors
    /// If the token has expired and could not be renewed just now: [`Reason::Network`], [`Reason::RateLimited`] and the like.
    /// The user is still signed in, and a later call may well succeed.
    pub async fn session(&self) -> Result<Option<AuthSession>, Error> {
        let Some(session) = self.inner.keeper.read() else { return Ok(None) };
        match self.inner.keeper.step(&session, self.inner.now()) {
            Step::Use => Ok(Some(session)),
            Step::Rest(error) => Err(error),
            Step::Renew => match self.renewal(session, false).await? {
                Ok(session) => Ok(session),
                Err(Failed { session: Some(session), error }) => {
                    match self.inner.keeper.step(&session, self.inner.now()) {
                        // It could not be renewed, and is good all the same.
                        Step::Use => Ok(Some(session)),
                        _ => Err(error),
                    }
                }
                // The session has ended, which is an answer.
                Err(Failed { session: None, .. }) => Ok(None),
            },
        }
    }

    /// Who is signed in as far as it is known here, at once: the access token may have expired.
    pub fn peek(&self) -> Option<AuthSession> {
        self.inner.keeper.read()
    }

    /// Renews the session now, for instance because the user's claims have changed.
    ///
    /// # Errors
    /// [`Reason::SignedOut`] if nobody is signed in, [`Reason::SessionRevoked`] if the session has ended, and
    /// whatever kept it from being renewed.
    pub async fn refresh(&self) -> Result<AuthSession, Error> {
        let session = self.inner.keeper.read().ok_or_else(signed_out)?;
        self.renewal(session, true).await?.map_err(|failed| failed.error)?.ok_or_else(signed_out)
    }

    /// Signs in with an e-mail address (or a telephone number) and a password.
    ///
    /// # Errors
    /// [`Reason::SessionRefused`] if they do not fit; [`Error::code`] is Supabase's own.
    pub async fn sign_in_with_password(&self, contact: &str, password: &str) -> Result<AuthSession, Error> {
        self.sign_in(Ask::password(contact.trim(), password, &self.options), AuthEvent::SignedIn).await
    }

    /// Makes a new user, who is signed in, unless the project wants the address confirmed first.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] for an address that has an account and for a weak password, where Supabase tells.
    pub async fn sign_up(&self, contact: &str, password: &str) -> Result<SignUp, Error> {
        let challenge = self.new_challenge();
        let body = self.inner.send(Ask::sign_up(contact.trim(), password, &challenge, &self.options)).await?;
        let now = self.inner.now();
        match reply::session(&body, now.wall / 1000.0) {
            Ok(session) => {
                self.inner.signed_in(&session, now, AuthEvent::SignedIn);
                Ok(SignUp::SignedIn(session))
            }
            Err(_) => Ok(SignUp::ConfirmationSent(reply::user(&body)?)),
        }
    }

    /// Makes a new user without an address, who can be given one later: see [`update_user`](Self::update_user).
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] if the project has no anonymous users.
    pub async fn sign_in_anonymously(&self) -> Result<AuthSession, Error> {
        self.sign_in(Ask::anonymous(&self.options), AuthEvent::SignedIn).await
    }

    /// Sends a code and a link to sign in with. The code goes to [`verify_code`](Self::verify_code); the link leads to
    /// [`AuthOptions::redirect_to`] and there to [`return_from_redirect`](Self::return_from_redirect), in the browser
    /// that it was asked for in.
    ///
    /// # Errors
    /// [`Reason::RateLimited`] if the last one was sent a moment ago.
    pub async fn send_code(&self, contact: &str) -> Result<(), Error> {
        let challenge = self.new_challenge();
        self.inner.send(Ask::code(contact.trim(), &challenge, &self.options)).await.map(drop)
    }

    /// Sends a link with which a forgotten password is replaced. Who comes back by it is signed in
    /// ([`AuthEvent::PasswordRecovery`]) and may call [`update_user`](Self::update_user).
    ///
    /// # Errors
    /// As [`send_code`](Self::send_code). That the address is unknown is no error.
    pub async fn send_password_recovery(&self, email: &str) -> Result<(), Error> {
        let (verifier, challenge) = self.challenge();
        // supabase-js's mark of what the verifier is for.
        self.inner.keeper.keep_verifier(Some(&[&verifier, RECOVERY].concat()));
        self.inner.send(Ask::recovery(email.trim(), &challenge, &self.options)).await.map(drop)
    }

    /// Signs in with the code that was sent to this address or telephone.
    ///
    /// # Errors
    /// [`Reason::SessionRefused`] if it has expired or is wrong.
    pub async fn verify_code(&self, contact: &str, code: &str, kind: VerifyType) -> Result<AuthSession, Error> {
        self.sign_in(Ask::verify(contact.trim(), code.trim(), kind), event_of(kind)).await
    }

    /// Signs in with the `token_hash` of a letter's link, for letters whose template links to a page of yours. It works
    /// in any browser.
    ///
    /// # Errors
    /// [`Reason::SessionRefused`] if it has expired or was used.
    pub async fn verify_token_hash(&self, token_hash: &str, kind: VerifyType) -> Result<AuthSession, Error> {
        self.sign_in(Ask::verify_hash(token_hash, kind), event_of(kind)).await
    }

    /// The address to send the browser to, so that the user signs in with a provider: `github`, `google`, … It comes back
    /// to [`AuthOptions::redirect_to`], and there to [`return_from_redirect`](Self::return_from_redirect) (in a page) or
    /// [`returned`](Self::returned).
    pub fn sign_in_url(&self, provider: &str) -> String {
        let challenge = self.new_challenge();
        self.options.authorize(&[&self.inner.url, "/auth/v1"].concat(), provider, &challenge)
    }

    /// Ends a sign-in that left the page: call it as the page loads. The code is taken out of the browser's address bar. `None`
    /// if the address brings nothing, and natively.
    ///
    /// # Errors
    /// As [`returned`](Self::returned).
    pub async fn return_from_redirect(&self) -> Result<Option<AuthSession>, Error> {
        let Some(url) = page::address() else { return Ok(None) };
        let address = Address::of(&url);
        let back = Back::of(&address);
        if back.is_some() {
            page::replace_address(&address.without(&BROUGHT_BACK));
        }
        self.bring_back(back).await
    }

    /// Ends a sign-in that came back to this address. `None` if it brings nothing.
    ///
    /// # Errors
    /// [`Reason::SessionRefused`] with what the provider said, and if the sign-in was begun in another browser or program.
    pub async fn returned(&self, url: &str) -> Result<Option<AuthSession>, Error> {
        self.bring_back(Back::of(&Address::of(url))).await
    }

    /// The signed-in user, as Supabase Auth knows it now.
    ///
    /// # Errors
    /// [`Reason::SignedOut`] if nobody is signed in, and [`Reason::SessionRevoked`] if the session has ended elsewhere; then
    /// nobody is signed in here either.
    pub async fn user(&self) -> Result<User, Error> {
        let session = self.session().await?.ok_or_else(signed_out)?;
        let body = self.inner.send(Ask::who(session.access_token())).await;
        let body = body.inspect_err(|error| self.inner.ended(&session, error))?;
        self.inner.changed(&session, reply::user(&body)?)
    }

    /// Changes the signed-in user: address, password, metadata.
    ///
    /// # Errors
    /// As [`user`](Self::user), and [`Reason::InvalidRequest`] for what the project refuses.
    pub async fn update_user(&self, changes: UserChanges) -> Result<User, Error> {
        let session = self.session().await?.ok_or_else(signed_out)?;
        let body = self.inner.send(Ask::change(session.access_token(), &changes)).await;
        let body = body.inspect_err(|error| self.inner.ended(&session, error))?;
        self.inner.changed(&session, reply::user(&body)?)
    }

    /// Signs out. Whatever the server says, nobody is signed in here afterwards (unless only [`Scope::Others`] were to be).
    ///
    /// # Errors
    /// If other devices could not be signed out: the server was not reached.
    pub async fn sign_out(&self, scope: Scope) -> Result<(), Error> {
        // Only a good token ends sessions at the server.
        let session = match self.session().await {
            Ok(session) => session,
            Err(_) => self.peek(),
        };
        let Some(session) = session else { return Ok(()) };
        let told = self.inner.send(Ask::sign_out(session.access_token(), scope)).await.map(drop);
        if scope != Scope::Others {
            self.inner.remove(&session);
        }
        match told {
            // The session had ended already.
            Err(error) if matches!(error.status(), Some(401 | 403 | 404)) => Ok(()),
            Err(_) if scope == Scope::Local => Ok(()),
            told => told,
        }
    }

    /// Calls `listener` with who is signed in now, and at every change from now on, in this and other tabs, until the
    /// subscription is dropped.
    ///
    /// ```
    /// # use behest_client::auth::{AuthEvent, Supabase};
    /// # let supabase = Supabase::new("https://abc.supabase.co", "sb_publishable_x").unwrap();
    /// let subscription = supabase.on_change(|event, session| match session {
    ///     Some(session) => println!("{event}: {}", session.user().id),
    ///     None => println!("{event}: nobody is signed in"),
    /// });
    /// ```
    #[must_use = "the listener is called as long as the subscription is kept"]
    pub fn on_change(
        &self,
        listener: impl Fn(AuthEvent, Option<&AuthSession>) + MaybeSend + MaybeSync + 'static,
    ) -> Subscription {
        let keeper = self.inner.keeper.clone();
        let id = keeper.listen(Arc::new(listener));
        Subscription { keeper: OnThread::new(keeper), id }
    }

    async fn sign_in(&self, ask: Ask, event: AuthEvent) -> Result<AuthSession, Error> {
        let body = self.inner.send(ask).await?;
        let now = self.inner.now();
        let session = reply::session(&body, now.wall / 1000.0)?;
        self.inner.signed_in(&session, now, event);
        Ok(session)
    }

    fn challenge(&self) -> (String, String) {
        let verifier = verifier([self.inner.transport.random(), self.inner.transport.random()]);
        let challenge = challenge(&verifier);
        (verifier, challenge)
    }

    /// Keeps a new verifier for the way back.
    fn new_challenge(&self) -> String {
        let (verifier, challenge) = self.challenge();
        self.inner.keeper.keep_verifier(Some(&verifier));
        challenge
    }

    async fn bring_back(&self, back: Option<Back>) -> Result<Option<AuthSession>, Error> {
        let code = match back {
            None => return Ok(None),
            Some(Back::Refused { code, description }) => {
                return Err(reply::refused_in_address(code.as_deref(), &description));
            }
            Some(Back::Code(code)) => code,
        };
        let Some(kept) = self.inner.keeper.verifier() else {
            let hint = "Sign in here, or with the code of the letter, which works everywhere.";
            let message = "the sign-in was begun in another browser";
            return Err(Error::new(Reason::SessionRefused, message).with_hint(Some(hint.to_owned())));
        };
        self.inner.keeper.keep_verifier(None);
        let (verifier, event) = match kept.strip_suffix(RECOVERY) {
            Some(verifier) => (verifier, AuthEvent::PasswordRecovery),
            None => (kept.as_str(), AuthEvent::SignedIn),
        };
        self.sign_in(Ask::exchange(&code, verifier), event).await.map(Some)
    }

    /// The renewal under way, or a new one.
    async fn renewal(&self, session: AuthSession, forced: bool) -> Result<Renewed, Error> {
        let flight = {
            let mut renewal = self.inner.renewal.lock().unwrap_or_else(PoisonError::into_inner);
            match &*renewal {
                Some(flight) if !flight.is_over() => flight.clone(),
                _ => {
                    let work = Inner::renew((*self.inner).clone(), session, forced);
                    let flight = Flight::start(&*self.inner.transport, Box::pin(work));
                    renewal.insert(flight).clone()
                }
            }
        };
        flight.outcome().await.ok_or_else(crate::client::dropped)
    }
}

/// supabase-js's mark of a verifier that is for a forgotten password.
const RECOVERY: &str = "/recovery";

fn signed_out() -> Error {
    Error::new(Reason::SignedOut, "nobody is signed in")
}

fn event_of(kind: VerifyType) -> AuthEvent {
    if kind == VerifyType::Recovery { AuthEvent::PasswordRecovery } else { AuthEvent::SignedIn }
}

/// What a redirect brought back.
enum Back {
    Code(String),
    Refused { code: Option<String>, description: String },
}

impl Back {
    fn of(address: &Address<'_>) -> Option<Self> {
        let parameter = |name| address.parameter(name);
        // `error` alone may be anybody's.
        if let (Some(error), Some(description)) = (parameter("error"), parameter("error_description")) {
            return Some(Self::Refused { code: parameter("error_code").or(Some(error)), description });
        }
        parameter("code").map(Self::Code)
    }
}

impl SessionSource for Supabase {
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>> {
        Box::pin(async move { Ok(self.session().await?.map(|session| session.access_token().clone())) })
    }

    fn watch(&self, changed: Watcher) -> bool {
        let keeper = &self.inner.keeper;
        keeper.listen(Arc::new(move |event: AuthEvent, session: Option<&AuthSession>| {
            if event != AuthEvent::InitialSession || session.is_some() {
                changed(session.map(AuthSession::access_token));
            }
        }));
        keeper.hears_of_all()
    }
}

impl ClientBuilder {
    /// Whoever is signed in to this project, and its Edge Function of this name: the token is minted there. In place of
    /// [`function`](Self::function) and [`session`](Self::session).
    #[must_use]
    pub fn supabase(self, supabase: &Supabase, function: impl Into<String>) -> Self {
        self.function(supabase.url(), function).session(supabase.clone())
    }
}

/// Two handles of one project's session.
impl PartialEq for Supabase {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl fmt::Debug for Supabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supabase").field("url", &self.inner.url).finish_non_exhaustive()
    }
}

impl fmt::Debug for SupabaseBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupabaseBuilder").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A listener's stay: dropped, it is told nothing any more. [`forget`](Self::forget) lets it stay for ever.
#[must_use = "the listener is called as long as the subscription is kept"]
pub struct Subscription {
    keeper: OnThread<Arc<Keeper>>,
    id: u64,
}

impl Subscription {
    /// The listener stays as long as the session is kept.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.keeper.forget(self.id);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_lies_where_supabase_js_keeps_it() {
        for (url, key) in [
            ("https://abc.supabase.co", "sb-abc-auth-token"),
            ("http://127.0.0.1:54321", "sb-127-auth-token"),
            ("http://localhost:54321", "sb-localhost-auth-token"),
            ("https://api.example.com/below", "sb-api-auth-token"),
            ("https://ABC.supabase.co", "sb-abc-auth-token"),
        ] {
            assert_eq!(usual_storage_key(url), key, "{url}");
        }
    }
}
