//! Sign-in, sign-out and the session in between.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::back::Back;
use super::connection::Connection;
use super::flight::Flight;
use super::keeper::Keeper;
use super::news::{News, Sharing};
use super::op::{Done, Kind, Op};
use super::options::{AuthOptions, UserChanges, VerifyType};
use super::pkce::{Address, BROUGHT_BACK, challenge, verifier};
use super::renewing::{Found, Renewed, Wanted, signed_out};
use super::session::{AuthSession, User};
use super::storage::{Kept, MemoryStorage, PageStorage, Storage, usual_storage_key};
use super::words::{AuthEvent, Scope};
#[cfg(doc)]
use crate::Reason;
use crate::client::{ClientBuilder, Problems, SessionSource, Watcher};
use crate::platform::{BoxFuture, DefaultTransport, MaybeSend, MaybeSync, OnThread, Transport, page, tell_in_drop};
use crate::{Error, Secret};

/// The users of a Supabase project: signs them in and out, and keeps the session fresh.
///
/// Cheap to clone; clones are the same session. `Send + Sync` everywhere; on wasm32 it must be used on the thread that made
/// it, and panics on any other. See the [module](super) for where the session is and when it is renewed.
///
/// What a clone [watches](SessionSource::watch), it watches until it is dropped: a client's clone goes with the client.
pub struct Supabase {
    inner: OnThread<Arc<Connection>>,
    options: Arc<AuthOptions>,
    watching: Mutex<Vec<Subscription>>,
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
#[must_use = "`build` makes the project"]
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
    pub fn storage(self, storage: impl Storage) -> Self {
        Self { storage: Some(Box::new(storage)), ..self }
    }

    /// Another name for the session in its storage: that of supabase-js's option `storageKey`.
    pub fn storage_key(self, name: impl Into<String>) -> Self {
        Self { storage_key: Some(name.into()), ..self }
    }

    /// The limit for each request. Default 8 s.
    pub fn timeout(self, limit: Duration) -> Self {
        Self { timeout: limit, ..self }
    }

    /// Another door to the outside, for tests or an HTTP client of your own.
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
        let (storage, sharing): (Box<dyn Storage>, _) = match self.storage {
            Some(storage) => (storage, Sharing::Untold),
            None if page::has_storage() => (Box::new(PageStorage), Sharing::Tabs),
            None => (Box::new(MemoryStorage::new()), Sharing::Nobody),
        };
        let transport = self.transport.unwrap_or_else(|| Arc::new(DefaultTransport::default()));
        let storage_key = self.storage_key.unwrap_or_else(|| usual_storage_key(&url));
        let (keeper, news) = News::open(Kept::new(storage), storage_key, sharing);
        let inner = Connection {
            url,
            key: self.key,
            timeout: self.timeout,
            transport,
            keeper,
            news,
            renewal: Mutex::default(),
        };
        Ok(Supabase { inner: OnThread::new(Arc::new(inner)), options: Arc::default(), watching: Mutex::default() })
    }
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
        self.found(Wanted { forced: false }).await
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
        self.found(Wanted { forced: true }).await?.ok_or_else(signed_out)
    }

    /// Signs in with an e-mail address (or a telephone number) and a password.
    ///
    /// # Errors
    /// [`Reason::SessionRefused`] if they do not fit; [`Error::code`] is Supabase's own.
    pub async fn sign_in_with_password(&self, contact: &str, password: &str) -> Result<AuthSession, Error> {
        self.run(Op::password(contact, password, &self.options)).await?.session()
    }

    /// Makes a new user, who is signed in, unless the project wants the address confirmed first.
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] for an address that has an account and for a weak password, where Supabase tells.
    pub async fn sign_up(&self, contact: &str, password: &str) -> Result<SignUp, Error> {
        Ok(match self.run(Op::sign_up(contact, password, self.verifier(), &self.options)).await? {
            Done::Session(session) => SignUp::SignedIn(session),
            done => SignUp::ConfirmationSent(done.user()?),
        })
    }

    /// Makes a new user without an address, who can be given one later: see [`update_user`](Self::update_user).
    ///
    /// # Errors
    /// [`Reason::InvalidRequest`] if the project has no anonymous users.
    pub async fn sign_in_anonymously(&self) -> Result<AuthSession, Error> {
        self.run(Op::anonymous(&self.options)).await?.session()
    }

    /// Sends a code and a link to sign in with. The code goes to [`verify_code`](Self::verify_code); the link leads to
    /// [`AuthOptions::redirect_to`] and there to [`return_from_redirect`](Self::return_from_redirect), in the browser
    /// that it was asked for in.
    ///
    /// # Errors
    /// [`Reason::RateLimited`] if the last one was sent a moment ago.
    pub async fn send_code(&self, contact: &str) -> Result<(), Error> {
        self.run(Op::code(contact, self.verifier(), &self.options)).await.map(drop)
    }

    /// Sends a link with which a forgotten password is replaced. Who comes back by it is signed in
    /// ([`AuthEvent::PasswordRecovery`]) and may call [`update_user`](Self::update_user).
    ///
    /// # Errors
    /// As [`send_code`](Self::send_code). That the address is unknown is no error.
    pub async fn send_password_recovery(&self, email: &str) -> Result<(), Error> {
        self.run(Op::recovery(email, self.verifier(), &self.options)).await.map(drop)
    }

    /// Signs in with the code that was sent to this address or telephone.
    ///
    /// # Errors
    /// [`Reason::SessionRefused`] if it has expired or is wrong, and, with [`VerifyType::EmailChange`], after the first of two
    /// codes, where the project wants the old address confirmed, too.
    pub async fn verify_code(&self, contact: &str, code: &str, kind: VerifyType) -> Result<AuthSession, Error> {
        self.run(Op::verify(contact, code, kind)).await?.verified()
    }

    /// Signs in with the `token_hash` of a letter's link, for letters whose template links to a page of yours. It works
    /// in any browser.
    ///
    /// # Errors
    /// [`Reason::SessionRefused`] if it has expired or was used, and as with [`verify_code`](Self::verify_code).
    pub async fn verify_token_hash(&self, token_hash: &str, kind: VerifyType) -> Result<AuthSession, Error> {
        self.run(Op::verify_hash(token_hash, kind)).await?.verified()
    }

    /// The address to send the browser to, so that the user signs in with a provider: `github`, `google`, … It comes back
    /// to [`AuthOptions::redirect_to`], and there to [`return_from_redirect`](Self::return_from_redirect) (in a page) or
    /// [`returned`](Self::returned).
    pub fn sign_in_url(&self, provider: &str) -> String {
        let verifier = self.verifier();
        self.inner.keeper.keep_verifier(Some(&verifier));
        self.options.authorize(&self.inner.url, provider, &challenge(&verifier))
    }

    /// Ends a sign-in that left the page: call it as the page loads. The code is taken out of the browser's address bar. `None`
    /// if the address brings nothing, and natively.
    ///
    /// # Errors
    /// As [`returned`](Self::returned).
    pub async fn return_from_redirect(&self) -> Result<Option<AuthSession>, Error> {
        let Some(url) = page::address() else { return Ok(None) };
        let address = Address::of(&url);
        let back = address.brought_back();
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
        self.bring_back(Address::of(url).brought_back()).await
    }

    /// Ends a sign-in with the code that came back with it. [`returned`](Self::returned) finds it in an address by itself.
    ///
    /// # Errors
    /// As [`returned`](Self::returned).
    pub async fn exchange_code(&self, code: &str) -> Result<AuthSession, Error> {
        self.run(Op::exchange_code(code)).await?.session()
    }

    /// The signed-in user, as Supabase Auth knows it now.
    ///
    /// # Errors
    /// [`Reason::SignedOut`] if nobody is signed in, and [`Reason::SessionRevoked`] if the session has ended elsewhere; then
    /// nobody is signed in here either.
    pub async fn user(&self) -> Result<User, Error> {
        self.run(Op::new(Kind::User)).await?.user()
    }

    /// Changes the signed-in user: address, password, metadata.
    ///
    /// # Errors
    /// As [`user`](Self::user), and [`Reason::InvalidRequest`] for what the project refuses.
    pub async fn update_user(&self, changes: UserChanges) -> Result<User, Error> {
        self.run(Op::change(changes, self.verifier(), &self.options)).await?.user()
    }

    /// Signs out. Whatever the server says, nobody is signed in here afterwards (unless only [`Scope::Others`] were to be), and
    /// not either if this is dropped before its end.
    ///
    /// # Errors
    /// If other devices could not be signed out: the server was not reached.
    pub async fn sign_out(&self, scope: Scope) -> Result<(), Error> {
        let leaving = self.peek().filter(|_| scope != Scope::Others);
        let mut leaving = Leaving(&self.inner.keeper, leaving);
        let answer = self.run(Op::sign_out(scope)).await;
        leaving.1 = None;
        answer.map(drop)
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
        let inner = &self.inner;
        let id = inner.news.listen(&inner.keeper, Arc::new(listener));
        Subscription { to: Some(OnThread::new((inner.keeper.clone(), inner.news.clone()))), id }
    }

    async fn run(&self, mut op: Op) -> Result<Done, Error> {
        let session = match op.is_users() {
            true => match op.session(self.session().await, &self.inner.keeper)? {
                None => return Ok(Done::Nothing),
                session => session,
            },
            false => None,
        };
        let ask = op.ask(&self.inner.keeper, session.as_ref())?;
        let answer = self.inner.send(ask).await;
        op.finish(&self.inner.keeper, session.as_ref(), answer, self.inner.now())
    }

    /// A new one, for a way back.
    fn verifier(&self) -> String {
        let random = || self.inner.transport.random();
        verifier([random(), random()])
    }

    async fn bring_back(&self, back: Option<Back>) -> Result<Option<AuthSession>, Error> {
        match back {
            None => Ok(None),
            Some(Back::Refused(error)) => Err(error),
            Some(Back::Code(code)) => self.exchange_code(&code).await.map(Some),
        }
    }

    async fn found(&self, wanted: Wanted) -> Result<Option<AuthSession>, Error> {
        match wanted.find(&self.inner.keeper, self.inner.now()) {
            Found::Now(found) => found,
            Found::Renew(session) => {
                let renewed = self.renewal(session, wanted).outcome().await?;
                wanted.after(renewed, &self.inner.keeper, self.inner.now())
            }
        }
    }

    /// The renewal under way, or a new one.
    fn renewal(&self, session: AuthSession, wanted: Wanted) -> Flight<Renewed> {
        let mut renewal = self.inner.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        match &*renewal {
            Some(flight) if !flight.is_over() => flight.clone(),
            _ => {
                let work = Connection::renew((*self.inner).clone(), session, wanted);
                renewal.insert(Flight::start(&*self.inner.transport, Box::pin(work))).clone()
            }
        }
    }
}

/// Whoever signs out is signed out, however long the server takes: dropped before its answer, this ends the session here.
struct Leaving<'a>(&'a Keeper, Option<AuthSession>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(session) = &self.1 {
            tell_in_drop(|| self.0.end(session));
        }
    }
}

impl SessionSource for Supabase {
    fn access_token(&self) -> BoxFuture<'_, Result<Option<Secret>, Error>> {
        Box::pin(async move { Ok(self.session().await?.map(|session| session.access_token().clone())) })
    }

    fn watch(&self, changed: Watcher) -> bool {
        let watching = self.on_change(move |event, session| {
            if event != AuthEvent::InitialSession || session.is_some() {
                changed(session.map(AuthSession::access_token));
            }
        });
        self.watching.lock().unwrap_or_else(PoisonError::into_inner).push(watching);
        self.inner.news.is_of_all()
    }
}

impl Clone for Supabase {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), options: self.options.clone(), watching: Mutex::default() }
    }
}

impl ClientBuilder {
    /// Whoever is signed in to this project, and its Edge Function of this name: the token is minted there. In place of
    /// [`function`](Self::function) and [`session`](Self::session).
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
    /// The keeper, too: whoever is told of its changes keeps it. None once the listener may stay.
    to: Option<OnThread<(Arc<Keeper>, Arc<News>)>>,
    id: u64,
}

impl Subscription {
    /// The listener stays as long as the session is kept.
    pub fn forget(mut self) {
        self.to = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(to) = &self.to {
            to.1.forget(self.id);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::Client;

    #[test]
    fn a_client_that_is_dropped_takes_its_listener_along() {
        let supabase = Supabase::new("https://abc.supabase.co", "sb_publishable_x").unwrap();
        let clients: Vec<_> = (0..3)
            .map(|_| Client::builder("https://g.example").supabase(&supabase, "behest-token").build().unwrap())
            .chain(std::iter::once({
                let client = Client::builder("https://g.example").function(supabase.url(), "behest-token");
                client.session(supabase.clone()).build().unwrap()
            }))
            .collect();
        assert_eq!(supabase.inner.news.listeners(), 4);
        drop(clients);
        assert_eq!(supabase.inner.news.listeners(), 0);
    }

    #[test]
    fn a_listener_that_stays_keeps_no_session() {
        let supabase = Supabase::new("https://abc.supabase.co", "sb_publishable_x").unwrap();
        supabase.on_change(|_, _| {}).forget();
        assert_eq!(supabase.inner.news.listeners(), 1);
        let keeper = Arc::downgrade(&supabase.inner.keeper);
        drop(supabase);
        assert!(keeper.upgrade().is_none());
    }
}
