//! supabase-js's words: how far a sign-out reaches, and what happened to the session.

use std::fmt;

/// Which of the user's sessions a sign-out ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// All of them, on every device: the default of supabase-js.
    #[default]
    Global,
    /// This one.
    Local,
    /// All but this one. The user stays signed in here.
    Others,
}

impl Scope {
    /// Supabase's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Local => "local",
            Self::Others => "others",
        }
    }

    /// The scope of this word.
    #[cfg(all(feature = "js", target_arch = "wasm32"))]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Global, Self::Local, Self::Others].into_iter().find(|scope| scope.as_str() == name)
    }
}

/// What happened to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthEvent {
    /// Told to each new listener first: who is signed in already, if somebody is.
    InitialSession,
    /// Somebody signed in, here or in another tab.
    SignedIn,
    /// Nobody is signed in any more.
    SignedOut,
    /// The same sign-in has new tokens.
    TokenRefreshed,
    /// The signed-in user changed: address, metadata.
    UserUpdated,
    /// Somebody who forgot the password came back from the letter's link: ask for a new one.
    PasswordRecovery,
}

impl AuthEvent {
    /// supabase-js's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InitialSession => "INITIAL_SESSION",
            Self::SignedIn => "SIGNED_IN",
            Self::SignedOut => "SIGNED_OUT",
            Self::TokenRefreshed => "TOKEN_REFRESHED",
            Self::UserUpdated => "USER_UPDATED",
            Self::PasswordRecovery => "PASSWORD_RECOVERY",
        }
    }
}

impl fmt::Display for AuthEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
