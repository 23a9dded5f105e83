//! What callers say beyond the necessary.

use std::fmt;

use serde_json::Value;

use super::session::with_field;
use crate::Secret;
use crate::json::{Json, quote};

/// What a sign-in, a sign-up or a letter may say beyond the necessary: see
/// [`Supabase::with_options`](super::Supabase::with_options).
///
/// ```
/// use behest_client::auth::AuthOptions;
///
/// let options = AuthOptions::new()
///     .redirect_to("https://example.com/welcome")
///     .data(serde_json::json!({ "name": "Ada" }));
/// ```
#[derive(Clone, Debug)]
pub struct AuthOptions {
    pub(crate) redirect_to: Option<String>,
    /// A JSON object.
    pub(crate) data: String,
    pub(crate) captcha_token: Option<String>,
    pub(crate) create_user: bool,
    pub(crate) scopes: Option<String>,
    pub(crate) parameters: Vec<(String, String)>,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self {
            redirect_to: None,
            data: NOTHING.to_owned(),
            captcha_token: None,
            create_user: true,
            scopes: None,
            parameters: Vec::new(),
        }
    }
}

impl AuthOptions {
    /// Nothing beyond the necessary.
    pub fn new() -> Self {
        Self::default()
    }

    /// The page that a provider or a letter's link leads back to. It must be on the project's list of redirect URLs; the
    /// default is the project's site URL.
    #[must_use]
    pub fn redirect_to(self, url: impl Into<String>) -> Self {
        Self { redirect_to: Some(url.into()), ..self }
    }

    /// The `user_metadata` of a new user: a JSON object. Anything else counts as none.
    #[must_use]
    pub fn data(self, data: Value) -> Self {
        Self { data: fields(&data), ..self }
    }

    /// What the CAPTCHA gave, where the project asks for one.
    #[must_use]
    pub fn captcha_token(self, token: impl Into<String>) -> Self {
        Self { captcha_token: Some(token.into()), ..self }
    }

    /// Whether a code also makes a user of an unknown address. Default true.
    #[must_use]
    pub fn create_user(self, create: bool) -> Self {
        Self { create_user: create, ..self }
    }

    /// What the provider is asked to permit, in its own words, separated by spaces.
    #[must_use]
    pub fn scopes(self, scopes: impl Into<String>) -> Self {
        Self { scopes: Some(scopes.into()), ..self }
    }

    /// A further parameter for the provider, such as `prompt`.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }
}

/// What is to change about the signed-in user.
///
/// `Debug` shows none of it.
#[derive(Clone)]
pub struct UserChanges(
    /// A JSON object.
    pub(crate) String,
);

impl Default for UserChanges {
    fn default() -> Self {
        Self(NOTHING.to_owned())
    }
}

impl UserChanges {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another address. Most projects change it only once a letter's link was opened; for anonymous users it is the way to
    /// become permanent.
    #[must_use]
    pub fn email(self, email: impl Into<String>) -> Self {
        self.text("email", &email.into())
    }

    /// Another telephone number.
    #[must_use]
    pub fn phone(self, phone: impl Into<String>) -> Self {
        self.text("phone", &phone.into())
    }

    /// Another password.
    #[must_use]
    pub fn password(self, password: impl Into<Secret>) -> Self {
        self.text("password", password.into().expose())
    }

    /// The code of the letter that projects with secure password changes send.
    #[must_use]
    pub fn nonce(self, nonce: impl Into<String>) -> Self {
        self.text("nonce", &nonce.into())
    }

    /// Fields of `user_metadata`: a JSON object. A field set to null is taken away, one that is not named stays.
    #[must_use]
    pub fn data(self, data: Value) -> Self {
        self.json("data", &fields(&data))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        Json::parse(&self.0).is_some_and(|changes| changes.field(name).is_some())
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        let mut json = String::new();
        quote(value, &mut json);
        self.json(name, &json)
    }

    /// A field as it is written, in place of the one it had.
    pub(crate) fn json(self, name: &str, value: &str) -> Self {
        Self(with_field(&self.0, name, value))
    }
}

impl fmt::Debug for UserChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserChanges").finish_non_exhaustive()
    }
}

const NOTHING: &str = "{}";

fn fields(data: &Value) -> String {
    if data.is_object() { data.to_string() } else { NOTHING.to_owned() }
}

/// What a code or the hash of a letter's link is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyType {
    /// A code or a link to sign in with.
    #[default]
    Email,
    /// The confirmation of a sign-up.
    Signup,
    /// A link to sign in with, by its older name.
    MagicLink,
    /// A forgotten password.
    Recovery,
    /// An invitation.
    Invite,
    /// A new address, or telephone number.
    EmailChange,
}

impl VerifyType {
    /// The word in letters' links.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Signup => "signup",
            Self::MagicLink => "magiclink",
            Self::Recovery => "recovery",
            Self::Invite => "invite",
            Self::EmailChange => "email_change",
        }
    }

    /// The type of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Email, Self::Signup, Self::MagicLink, Self::Recovery, Self::Invite, Self::EmailChange]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    pub(super) const fn of_telephone(self) -> &'static str {
        match self {
            Self::EmailChange => "phone_change",
            _ => "sms",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_passwords_are_not_shown() {
        for name in ["email", "signup", "magiclink", "recovery", "invite", "email_change"] {
            assert_eq!(VerifyType::from_name(name).map(VerifyType::as_str), Some(name));
        }
        assert_eq!(VerifyType::from_name("sms"), None);
        assert!(!format!("{:?}", UserChanges::new().password("hunter-2")).contains("hunter"));
    }
}
