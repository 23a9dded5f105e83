//! Who may call, in the words of the settings.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Reason};

/// One way in. A [`Guard`](super::Guard) tries several in order.
///
/// | text | older text | what a request must carry |
/// |---|---|---|
/// | `user` | `user` | `Authorization: Bearer <access token>` of a signed-in user |
/// | `publishable`, `publishable:name`, `publishable:*` | `public`, `public:name`, `public:*` | `apikey`: the key `default`, the one of this name, any |
/// | `secret`, `secret:name`, `secret:*` | the same | `apikey`, likewise |
/// | `none` | `always` | nothing |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// A signed-in user.
    User,
    /// A publishable key: an application, not a person.
    Publishable(KeyName),
    /// A secret key: another server of yours.
    Secret(KeyName),
    /// Anybody.
    None,
}

/// Which of several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyName {
    /// The one of this name; `default` unless the settings say otherwise.
    Named(String),
    /// Any of them.
    Any,
}

impl Mode {
    /// The mode without the key's name: `user`, `publishable`, `secret` or `none`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Publishable(_) => "publishable",
            Self::Secret(_) => "secret",
            Self::None => "none",
        }
    }

    /// The same in the words of version 0 of `@supabase/server`: `user`, `public`, `secret` or `always`.
    pub const fn older_str(&self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Publishable(_) => "public",
            Self::Secret(_) => "secret",
            Self::None => "always",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::Publishable(KeyName::Any) | Self::Secret(KeyName::Any) => f.write_str(":*"),
            Self::Publishable(KeyName::Named(name)) | Self::Secret(KeyName::Named(name)) => write!(f, ":{name}"),
            Self::User | Self::None => Ok(()),
        }
    }
}

impl FromStr for Mode {
    type Err = Error;

    /// # Errors
    /// [`Reason::Misconfigured`] for a word that is no mode. Words are compared exactly: a mode that is spelled wrong must
    /// not go unnoticed.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (word, name) = match text.split_once(':') {
            Some((word, name)) => (word, Some(name)),
            None => (text, None),
        };
        let key = match name {
            None | Some("") => KeyName::Named("default".to_owned()),
            Some("*") => KeyName::Any,
            Some(name) => KeyName::Named(name.to_owned()),
        };
        match (word, name) {
            ("user", None) => Ok(Self::User),
            ("none" | "always", None) => Ok(Self::None),
            ("publishable" | "public", _) => Ok(Self::Publishable(key)),
            ("secret", _) => Ok(Self::Secret(key)),
            _ => Err(Error::new(
                Reason::Misconfigured,
                format!(
                    "`{text}` is no way to authenticate: use user, publishable, secret or none, the middle two with :name or :*"
                ),
            )),
        }
    }
}
