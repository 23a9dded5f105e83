//! What can be done with a user: what Supabase Auth is asked for it, and what its answer changes here. One step each; whoever
//! sends the request stands between them.

use super::keeper::Keeper;
use super::options::{AuthEvent, AuthOptions, Scope, UserChanges, VerifyType};
use super::pkce::{challenge, verifier};
use super::renewing::signed_out;
use super::reply;
use super::requests::Ask;
use super::session::{AuthSession, User};
use crate::engine::Moment;
use crate::{Error, Reason, Secret};

/// supabase-js's mark of a verifier that is for a forgotten password.
const RECOVERY: &str = "/recovery";

/// What is to be done. Flat, since what each of them needs moves through every step of browsers' modules.
pub(crate) struct Op {
    kind: Kind,
    /// An address, or a telephone number.
    contact: String,
    /// A password, a code, the hash of a link.
    secret: Secret,
    verify: VerifyType,
    scope: Scope,
    changes: UserChanges,
    /// What a sign-in is told as.
    event: AuthEvent,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Password,
    SignUp,
    Anonymous,
    Code,
    Recovery,
    Verify,
    VerifyHash,
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

/// Where an operation is done: whose session, with what random bytes.
pub(crate) struct Place<'a> {
    pub(crate) keeper: &'a Keeper,
    pub(crate) options: &'a AuthOptions,
    pub(crate) random: &'a dyn Fn() -> [u8; 16],
}

impl Place<'_> {
    /// The challenge of a new verifier, which is kept for the way back.
    pub(super) fn challenge(&self, mark: &str) -> String {
        let verifier = verifier([(self.random)(), (self.random)()]);
        self.keeper.keep_verifier(Some(&[&verifier, mark].concat()));
        challenge(&verifier)
    }

    /// The address to send the browser to.
    pub(crate) fn sign_in_url(&self, project: &str, provider: &str) -> String {
        self.options.authorize(project, provider, &self.challenge(""))
    }
}

impl Op {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            contact: String::new(),
            secret: Secret::from(""),
            verify: VerifyType::Email,
            scope: Scope::Global,
            changes: UserChanges::new(),
            event: AuthEvent::SignedIn,
        }
    }

    pub(crate) fn contact(self, contact: &str) -> Self {
        Self { contact: contact.trim_ascii().to_owned(), ..self }
    }

    pub(crate) fn secret(self, secret: &str) -> Self {
        Self { secret: secret.into(), ..self }
    }

    pub(crate) fn verify(self, kind: VerifyType) -> Self {
        let event = if kind == VerifyType::Recovery { AuthEvent::PasswordRecovery } else { AuthEvent::SignedIn };
        Self { verify: kind, event, ..self }
    }

    pub(crate) fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    pub(crate) fn changes(self, changes: UserChanges) -> Self {
        Self { changes, ..self }
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
    pub(crate) fn ask(&mut self, place: &Place<'_>, session: Option<&AuthSession>) -> Result<Ask, Error> {
        let (options, contact, secret) = (place.options, &*self.contact, self.secret.expose());
        let token = || session.map(AuthSession::access_token).ok_or_else(signed_out);
        Ok(match self.kind {
            Kind::Password => Ask::password(contact, secret, options),
            Kind::SignUp => Ask::sign_up(contact, secret, &place.challenge(""), options),
            Kind::Anonymous => Ask::anonymous(options),
            Kind::Code => Ask::code(contact, &place.challenge(""), options),
            Kind::Recovery => Ask::recovery(contact, &place.challenge(RECOVERY), options),
            Kind::Verify => Ask::verify(contact, secret.trim_ascii(), self.verify),
            Kind::VerifyHash => Ask::verify_hash(secret, self.verify),
            Kind::Exchange => {
                let kept = place.keeper.verifier().ok_or_else(begun_elsewhere)?;
                place.keeper.keep_verifier(None);
                let verifier = kept.strip_suffix(RECOVERY);
                if verifier.is_some() {
                    self.event = AuthEvent::PasswordRecovery;
                }
                Ask::exchange(secret, verifier.unwrap_or(&kept))
            }
            Kind::User => Ask::who(token()?),
            Kind::Update => Ask::change(token()?, &self.changes, options),
            Kind::SignOut => Ask::sign_out(token()?, self.scope),
        })
    }

    /// What becomes of the answer to [`ask`](Self::ask), asked in the name of `session`.
    pub(crate) fn finish(
        &self,
        keeper: &Keeper,
        session: Option<&AuthSession>,
        answer: Result<Vec<u8>, Error>,
        now: Moment,
    ) -> Result<Done, Error> {
        if let Some(session) = session {
            return match self.kind {
                Kind::SignOut => signed_out_by(self.scope, keeper, session, answer),
                _ => user_of(keeper, session, answer),
            };
        }
        let body = answer?;
        if matches!(self.kind, Kind::Code | Kind::Recovery) {
            return Ok(Done::Nothing);
        }
        match reply::session(&body, now.wall / 1000.0) {
            Ok(session) => {
                keeper.issued(&session, now);
                keeper.store(&session, self.event);
                Ok(Done::Session(session))
            }
            // The address is to be confirmed first.
            Err(_) if self.kind == Kind::SignUp => reply::user(&body).map(Done::User),
            Err(error) => Err(error),
        }
    }
}

fn user_of(keeper: &Keeper, session: &AuthSession, answer: Result<Vec<u8>, Error>) -> Result<Done, Error> {
    let answer = answer.and_then(|body| reply::user(&body));
    match &answer {
        Ok(user) => keeper.changed(session, user),
        Err(error) if error.reason() == Reason::SessionRevoked => keeper.end(session),
        Err(_) => {}
    }
    answer.map(Done::User)
}

fn signed_out_by(
    scope: Scope,
    keeper: &Keeper,
    session: &AuthSession,
    answer: Result<Vec<u8>, Error>,
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
    let hint = "Sign in here, or with the code of the letter, which works everywhere.";
    let message = "the sign-in was begun in another browser";
    Error::new(Reason::SessionRefused, message).with_hint(Some(hint.to_owned()))
}

impl Done {
    pub(super) fn session(self) -> Result<AuthSession, Error> {
        match self {
            Self::Session(session) => Ok(session),
            Self::User(_) | Self::Nothing => Err(reply::unknown("no session")),
        }
    }

    pub(super) fn user(self) -> Result<User, Error> {
        match self {
            Self::User(user) => Ok(user),
            Self::Session(_) | Self::Nothing => Err(reply::unknown("no user")),
        }
    }
}
