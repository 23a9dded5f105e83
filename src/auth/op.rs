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

/// What is to be done.
pub(crate) enum Op {
    Password { contact: String, password: Secret },
    SignUp { contact: String, password: Secret },
    Anonymous,
    Code { contact: String },
    Recovery { email: String },
    Verify { contact: String, code: String, kind: VerifyType },
    VerifyHash { token_hash: String, kind: VerifyType },
    Exchange { code: String, event: AuthEvent },
    User,
    Update(UserChanges),
    SignOut(Scope),
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
    pub(crate) fn exchange(code: String) -> Self {
        Self::Exchange { code, event: AuthEvent::SignedIn }
    }

    /// Is it done in the name of the signed-in user?
    pub(crate) fn is_users(&self) -> bool {
        matches!(self, Self::User | Self::Update(_) | Self::SignOut(_))
    }

    /// In the name of which session, if this was found. `None` if there is nothing to be done.
    pub(crate) fn session(
        &self,
        found: Result<Option<AuthSession>, Error>,
        keeper: &Keeper,
    ) -> Result<Option<AuthSession>, Error> {
        match self {
            // Only a good token ends sessions at the server; this one's end needs none.
            Self::SignOut(_) => Ok(found.unwrap_or_else(|_| keeper.read())),
            _ => found?.ok_or_else(signed_out).map(Some),
        }
    }

    /// The request; in the name of a session, if it is the user's.
    pub(crate) fn ask(&mut self, place: &Place<'_>, session: Option<&AuthSession>) -> Result<Ask, Error> {
        let options = place.options;
        let token = || session.map(AuthSession::access_token).ok_or_else(signed_out);
        Ok(match self {
            Self::Password { contact, password } => Ask::password(contact.trim(), password.expose(), options),
            Self::SignUp { contact, password } => {
                Ask::sign_up(contact.trim(), password.expose(), &place.challenge(""), options)
            }
            Self::Anonymous => Ask::anonymous(options),
            Self::Code { contact } => Ask::code(contact.trim(), &place.challenge(""), options),
            Self::Recovery { email } => Ask::recovery(email.trim(), &place.challenge(RECOVERY), options),
            Self::Verify { contact, code, kind } => Ask::verify(contact.trim(), code.trim(), *kind),
            Self::VerifyHash { token_hash, kind } => Ask::verify_hash(token_hash, *kind),
            Self::Exchange { code, event } => {
                let kept = place.keeper.verifier().ok_or_else(begun_elsewhere)?;
                place.keeper.keep_verifier(None);
                let verifier = match kept.strip_suffix(RECOVERY) {
                    Some(verifier) => {
                        *event = AuthEvent::PasswordRecovery;
                        verifier
                    }
                    None => &kept,
                };
                Ask::exchange(code, verifier)
            }
            Self::User => Ask::who(token()?),
            Self::Update(changes) => Ask::change(token()?, changes, options),
            Self::SignOut(scope) => Ask::sign_out(token()?, *scope),
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
        let event = match (self, session) {
            (Self::SignOut(scope), Some(session)) => return signed_out_by(*scope, keeper, session, answer),
            (Self::User | Self::Update(_), Some(session)) => return user_of(keeper, session, answer),
            (Self::Code { .. } | Self::Recovery { .. }, _) => return answer.map(|_| Done::Nothing),
            (Self::Verify { kind, .. } | Self::VerifyHash { kind, .. }, _) if *kind == VerifyType::Recovery => {
                AuthEvent::PasswordRecovery
            }
            (Self::Exchange { event, .. }, _) => *event,
            _ => AuthEvent::SignedIn,
        };
        let body = answer?;
        match reply::session(&body, now.wall / 1000.0) {
            Ok(session) => {
                keeper.issued(&session, now);
                keeper.store(&session, event);
                Ok(Done::Session(session))
            }
            // The address is to be confirmed first.
            Err(_) if matches!(self, Self::SignUp { .. }) => reply::user(&body).map(Done::User),
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
