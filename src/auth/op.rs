//! What can be done with a user: what Supabase Auth is asked for it, and what its answer changes here. One step each; whoever
//! sends the request stands between them.

use super::keeper::Keeper;
use super::renewing::signed_out;
use super::reply::{self, Answer};
use super::requests::Ask;
use super::session::{AuthSession, User};
use super::words::{AuthEvent, Scope};
use crate::engine::Moment;
use crate::json::Json;
use crate::object::Object;
use crate::{Action, Error, Reason, Secret};

/// supabase-js's mark of a verifier that is for a forgotten password.
const RECOVERY: &str = "/recovery";

/// What is to be done. Flat, since what each of them needs moves through every step of browsers' modules.
pub(crate) struct Op {
    pub(crate) kind: Kind,
    /// What Supabase Auth is told: a JSON object, or nothing.
    pub(crate) body: String,
    /// A password, a code, the hash of a link: what the answer must not say again.
    pub(crate) secret: Secret,
    /// Where letters lead to.
    pub(crate) redirect_to: Option<String>,
    /// What a way back must bring, its challenge stands in the body; once a code was sent, what was kept for it.
    pub(crate) verifier: Option<String>,
    pub(crate) scope: Scope,
    /// What a sign-in is told as.
    pub(crate) event: AuthEvent,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Password,
    SignUp,
    Anonymous,
    Code,
    Recovery,
    Verify,
    Exchange,
    User,
    Update,
    SignOut,
}

/// What came of it.
pub(crate) enum Done {
    Session(AuthSession),
    User(User),
    Nothing,
}

impl Op {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            body: String::new(),
            secret: Secret::from(""),
            redirect_to: None,
            verifier: None,
            scope: Scope::Global,
            event: AuthEvent::SignedIn,
        }
    }

    /// Is it done in the name of the signed-in user?
    pub(crate) fn is_users(&self) -> bool {
        matches!(self.kind, Kind::User | Kind::Update | Kind::SignOut)
    }

    /// In the name of which session, if this was found. `None` if there is nothing to be done.
    pub(crate) fn session(
        &self,
        found: Result<Option<AuthSession>, Error>,
        keeper: &Keeper,
    ) -> Result<Option<AuthSession>, Error> {
        // Only a good token ends sessions at the server; this one's end needs none.
        if self.kind == Kind::SignOut {
            return Ok(found.unwrap_or_else(|_| keeper.read()));
        }
        found?.ok_or_else(signed_out).map(Some)
    }

    /// The request; in the name of a session, if it is the user's.
    pub(crate) fn ask(&mut self, keeper: &Keeper, session: Option<&AuthSession>) -> Result<Ask, Error> {
        if let Some(verifier) = &self.verifier {
            let mark = if self.kind == Kind::Recovery { RECOVERY } else { "" };
            keeper.keep_verifier(Some(&[verifier, mark].concat()));
        }
        if self.kind == Kind::Exchange {
            self.exchange(keeper)?;
        }
        let (method, path) = match self.kind {
            Kind::Password => ("POST", "/token?grant_type=password"),
            Kind::SignUp | Kind::Anonymous => ("POST", "/signup"),
            Kind::Code => ("POST", "/otp"),
            Kind::Recovery => ("POST", "/recover"),
            Kind::Verify => ("POST", "/verify"),
            Kind::Exchange => ("POST", "/token?grant_type=pkce"),
            Kind::User => ("GET", "/user"),
            Kind::Update => ("PUT", "/user"),
            Kind::SignOut => ("POST", "/logout"),
        };
        let mut ask = Ask::new(method, path, &self.body);
        if self.kind == Kind::SignOut {
            ask.parameter("scope", self.scope.as_str());
        }
        if let Some(url) = &self.redirect_to {
            ask.parameter("redirect_to", url);
        }
        if self.is_users() {
            ask.bearer = Some(session.ok_or_else(signed_out)?.access_token().clone());
        }
        Ok(ask)
    }

    /// The code goes with the verifier that was kept for it.
    fn exchange(&mut self, keeper: &Keeper) -> Result<(), Error> {
        let kept = keeper.verifier().ok_or_else(begun_elsewhere)?;
        let verifier = kept.strip_suffix(RECOVERY);
        if verifier.is_some() {
            self.event = AuthEvent::PasswordRecovery;
        }
        let verifier = verifier.unwrap_or(&kept);
        let code = self.secret.expose();
        self.body = Object::new().text("auth_code", code).text("code_verifier", verifier).finish();
        self.secret = verifier.into();
        self.verifier = Some(kept);
        Ok(())
    }

    /// What becomes of the answer to [`ask`](Self::ask), asked in the name of `session`.
    pub(crate) fn finish(
        &self,
        keeper: &Keeper,
        session: Option<&AuthSession>,
        answer: Result<Answer, Error>,
        now: Moment,
    ) -> Result<Done, Error> {
        let secret = session.map_or(&self.secret, AuthSession::access_token);
        let answer = answer.and_then(|answer| answer.accepted(secret));
        if let Some(session) = session {
            return match self.kind {
                Kind::SignOut => signed_out_by(self.scope, keeper, session, answer),
                kind => user_of(kind, keeper, session, answer),
            };
        }
        // A code that brought no answer may be sent again, with the same verifier.
        let may_come = answer.as_ref().is_err_and(|error| error.action() == Action::RetryAfter);
        if self.kind == Kind::Exchange && !may_come && keeper.verifier() == self.verifier {
            keeper.keep_verifier(None);
        }
        let body = answer?;
        let is_letter = matches!(self.kind, Kind::Code | Kind::Recovery);
        match reply::session(&body, now.wall / 1000.0) {
            Ok(session) if !is_letter => {
                keeper.issued(&session, now);
                keeper.store(&session, self.event);
                Ok(Done::Session(session))
            }
            // The address is to be confirmed first.
            Err(_) if self.kind == Kind::SignUp => reply::user(&body).map(Done::User),
            // One of two addresses is confirmed, or a letter on its way. A network's page that wants to be paid first is no answer.
            Err(error) if !(is_letter || self.kind == Kind::Verify) || Json::parse(&body).is_none() => Err(error),
            _ => Ok(Done::Nothing),
        }
    }
}

fn user_of(kind: Kind, keeper: &Keeper, session: &AuthSession, answer: Result<String, Error>) -> Result<Done, Error> {
    let answer = answer.and_then(|body| reply::user(&body));
    match &answer {
        // To ask is no change: a listener may ask at each one.
        Ok(user) if kind == Kind::Update => keeper.changed(session, user),
        Err(error) if error.reason() == Reason::SessionRevoked => keeper.end(session),
        _ => {}
    }
    answer.map(Done::User)
}

fn signed_out_by(
    scope: Scope,
    keeper: &Keeper,
    session: &AuthSession,
    answer: Result<String, Error>,
) -> Result<Done, Error> {
    if scope != Scope::Others {
        keeper.end(session);
    }
    match answer {
        // The session had ended already.
        Err(error) if scope != Scope::Local && !matches!(error.status(), Some(401 | 403 | 404)) => Err(error),
        _ => Ok(Done::Nothing),
    }
}

fn begun_elsewhere() -> Error {
    let message = "the sign-in was begun in another browser";
    Error::new(Reason::SessionRefused, message).with_hint(Some(reply::BEGIN_AGAIN.to_owned()))
}

#[cfg(feature = "auth")]
impl Done {
    pub(super) fn session(self) -> Result<AuthSession, Error> {
        match self {
            Self::Session(session) => Ok(session),
            Self::User(_) | Self::Nothing => Err(reply::unknown("no session")),
        }
    }

    /// Of two codes that change an address, the first one signs nobody in.
    pub(super) fn verified(self) -> Result<AuthSession, Error> {
        if let Self::Nothing = self {
            let hint = "Verify the code of the letter to the other address, too.";
            let message = "the code was right, and another one is asked for";
            return Err(Error::new(Reason::SessionRefused, message).with_hint(Some(hint.to_owned())));
        }
        self.session()
    }

    pub(super) fn user(self) -> Result<User, Error> {
        match self {
            Self::User(user) => Ok(user),
            Self::Session(_) | Self::Nothing => Err(reply::unknown("no user")),
        }
    }
}
