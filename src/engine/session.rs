//! Who is signed in, and whom the engine's state belongs to.

use super::clock::NEVER;
use super::table::Id;
use crate::credential::{Claims, CredentialKind};
use crate::wire;
use crate::{Error, Reason, Secret};

/// Refuses what must never leave the browser as a bearer token, and what no header can carry.
fn check_access_token(token: &Secret) -> Result<(), Error> {
    let text = token.expose();
    match CredentialKind::of(text) {
        CredentialKind::Other => {}
        CredentialKind::ServiceRole => {
            return Err(Error::new(Reason::RoleRefused, "the session source gave the project's service_role key"));
        }
        CredentialKind::Anon => {
            return Err(Error::new(Reason::ApiKeyAsBearer, "the session source gave the project's anon key"));
        }
        CredentialKind::Publishable | CredentialKind::SecretKey => {
            return Err(Error::new(Reason::ApiKeyAsBearer, "the session source gave an API key"));
        }
    }
    if !wire::is_header_safe(text) || text.bytes().any(|byte| byte == b' ') {
        return Err(Error::new(Reason::MalformedToken, "the session source gave something that is no token"));
    }
    Ok(())
}

/// One user's session: `sub` and `session_id` of the access token. A rotated token keeps both.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity(Secret);

impl Identity {
    /// A token that cannot be read stands for itself: then each rotation counts as another user, which is safe.
    pub(crate) fn of(token: &Secret) -> Self {
        let claims = Claims::of(token.expose()).unwrap_or_default();
        match claims.sub {
            Some(mut sub) => {
                sub.push(' ');
                sub.push_str(&claims.session_id.unwrap_or_default());
                Self(sub.into())
            }
            None => Self(token.clone()),
        }
    }
}

/// Whom the engine works for. Everything kept for a user is kept for an epoch, and a change of user begins a new one.
#[derive(Default)]
pub(crate) struct Session {
    /// Not known yet; or nobody, or a user.
    identity: Option<Option<Identity>>,
    pub(crate) epoch: u32,
    /// Counts what was told and found out, to know a reading that began before it.
    pub(crate) changes: u32,
    reading: Option<Reading>,
    readings: u32,
    /// The token that was looked at last, and whose it is: a callback gives the same one at nearly every call.
    last: Option<(Secret, Identity)>,
}

/// The session source is being asked.
struct Reading {
    id: Id,
    /// Its source was called: what it answers may be older than whoever comes from now on.
    asked: bool,
    changes: u32,
    due: f64,
}

/// The user changed while the session was being read: read it again.
#[derive(Debug)]
pub(crate) struct Outdated;

impl Session {
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()?.as_ref()
    }

    /// Whose token this is. Refuses one that must not be sent.
    pub(crate) fn identify(&mut self, token: &Secret) -> Result<Identity, Error> {
        if let Some((_, identity)) = self.last.as_ref().filter(|(last, _)| last == token) {
            return Ok(identity.clone());
        }
        check_access_token(token)?;
        let identity = Identity::of(token);
        self.last = Some((token.clone(), identity.clone()));
        Ok(identity)
    }

    /// Which reading someone who comes now has to wait for, by its number, and whether it must be begun.
    ///
    /// What a source that reports changes is about to answer is as good for the next caller. Any other one may have made up
    /// its mind before that caller came.
    pub(crate) fn join(&mut self, source_reports: bool) -> (u32, bool) {
        match &self.reading {
            Some(reading) if reading.asked && !source_reports => (self.readings + 1, false),
            Some(_) => (self.readings, false),
            None => {
                self.readings += 1;
                (self.readings, true)
            }
        }
    }

    /// The number of the reading that begins now is the next one.
    pub(crate) fn next(&mut self) {
        self.readings += 1;
    }

    pub(crate) fn begin(&mut self, id: Id, due: f64) {
        self.reading = Some(Reading { id, asked: false, changes: self.changes, due });
    }

    /// The source has just been called.
    pub(crate) fn asked(&mut self, id: Id) {
        self.reading.iter_mut().filter(|reading| reading.id == id).for_each(|reading| reading.asked = true);
    }

    /// This reading is over: its number, what had changed when it began, and its limit. `None` if nobody waits for it.
    pub(crate) fn end(&mut self, id: Id) -> Option<(u32, u32, f64)> {
        let Reading { changes, due, .. } = self.reading.take_if(|reading| reading.id == id)?;
        Some((self.readings, changes, due))
    }

    /// The reading under way.
    pub(crate) fn reading(&self) -> Option<Id> {
        self.reading.as_ref().map(|reading| reading.id)
    }

    pub(crate) fn due(&self) -> f64 {
        self.reading.as_ref().map_or(NEVER, |reading| reading.due)
    }

    /// The application says who is signed in now. `true` if that is another user.
    pub(crate) fn notice(&mut self, identity: Option<Identity>) -> bool {
        if identity.is_none() {
            self.last = None;
        }
        // The first word about an unknown user changes nothing; a sign-out always does.
        let known = self.identity.replace(identity);
        self.changes += 1;
        let changed = known.map_or(self.identity().is_none(), |known| Some(&known) != self.identity.as_ref());
        self.epoch += u32::from(changed);
        changed
    }

    /// A reading that began when `changes` had happened found this user, or nobody. `true` if that is another one.
    pub(crate) fn found(&mut self, identity: Option<Identity>, changes: u32) -> Result<bool, Outdated> {
        if self.identity.as_ref() == Some(&identity) {
            return Ok(false);
        }
        if self.changes != changes {
            return Err(Outdated);
        }
        if identity.is_none() {
            self.last = None;
        }
        let changed = self.identity.replace(identity).is_some();
        self.changes += 1;
        self.epoch += u32::from(changed);
        Ok(changed)
    }
}

/// The end of what belongs to a user who has left.
pub(crate) fn user_changed() -> Error {
    Error::new(Reason::UserChanged, "the user whose call this was has left")
}
