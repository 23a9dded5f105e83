//! A session as Supabase Auth sends it and supabase-js stores it. Its JSON is kept as it came: what this library does not
//! know is not lost to the one that reads it next.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::credential::Claims;
use crate::json::{Fields, Json};
use crate::object::Object;
use crate::text::digits;
use crate::{Error, Reason, Secret};

/// Who is signed in, and with what. Cheap to clone.
///
/// `Debug` shows the user's id and no token.
#[derive(Clone)]
pub struct AuthSession(Arc<Parts>);

struct Parts {
    json: String,
    access_token: Secret,
    refresh_token: Secret,
    /// In seconds since the Unix epoch, by the server's clock.
    expires_at: f64,
    /// The access token's whole life in seconds.
    lifetime: Option<f64>,
    /// The `session_id` of the access token: the sign-in that it goes back to.
    login: Option<String>,
    user: User,
}

impl AuthSession {
    /// Reads a session. One without `expires_at` is dated from `now`, in seconds since the Unix epoch.
    pub(super) fn parse(json: &str, now: f64) -> Option<Self> {
        let session = Json::parse(json)?;
        let fields = session.fields();
        let text = |name: &str| fields.get(name)?.text().filter(|text| !text.is_empty());
        let number = |name: &str| fields.get(name)?.number();
        let (access_token, refresh_token) = (text("access_token")?, text("refresh_token")?);
        let claims = Claims::of(&access_token).unwrap_or_default();
        let expires_in = number("expires_in");
        let (expires_at, json) = match number("expires_at") {
            Some(moment) => (moment, json.to_owned()),
            None => {
                let moment = now + expires_in.filter(|seconds| *seconds >= 0.0)?;
                (moment, with_field(json, "expires_at", &digits(moment as u64)))
            }
        };
        // supabase-js with a `userStorage` keeps the user elsewhere; the token says who it is.
        let user = fields.get("user").and_then(|user| User::parse(user.raw()));
        let user = user.or_else(|| User::parse(&Object::new().text("id", claims.sub.as_deref()?).finish()))?;
        Some(Self(Arc::new(Parts {
            json,
            access_token: access_token.into(),
            refresh_token: refresh_token.into(),
            expires_at,
            lifetime: claims.lifetime.or(expires_in),
            login: claims.session_id,
            user,
        })))
    }

    /// The token for `Authorization: Bearer`. It may have expired: [`Supabase::session`](super::Supabase::session) gives one
    /// that has not.
    pub fn access_token(&self) -> &Secret {
        &self.0.access_token
    }

    /// The token that the next session is had for, once.
    pub fn refresh_token(&self) -> &Secret {
        &self.0.refresh_token
    }

    /// When the access token expires, in seconds since the Unix epoch, by the server's clock.
    pub fn expires_at(&self) -> u64 {
        self.0.expires_at as u64
    }

    /// Who is signed in, as of the latest answer of Supabase Auth.
    pub fn user(&self) -> &User {
        &self.0.user
    }

    /// The token for the API of the provider (GitHub, Google) that the user came from, if it gave one.
    pub fn provider_token(&self) -> Option<Secret> {
        Json::parse(&self.0.json)?.field("provider_token")?.text().map(Secret::new)
    }

    /// As it is stored.
    pub(crate) fn json(&self) -> &str {
        &self.0.json
    }

    /// In milliseconds since the Unix epoch.
    pub(super) fn expires_ms(&self) -> f64 {
        self.0.expires_at * 1000.0
    }

    /// In milliseconds.
    pub(super) fn lifetime_ms(&self) -> Option<f64> {
        self.0.lifetime.map(|seconds| seconds * 1000.0)
    }

    /// Does it go back to the same sign-in of the same user?
    pub(super) fn continues(&self, other: &Self) -> bool {
        (&self.0.user.id, &self.0.login) == (&other.0.user.id, &other.0.login)
    }

    /// Are these its tokens?
    pub(super) fn has_tokens_of(&self, other: &Self) -> bool {
        self.0.access_token == other.0.access_token && self.0.refresh_token == other.0.refresh_token
    }

    /// The same session of a user who has changed.
    pub(super) fn with_user(&self, user: &User) -> Option<Self> {
        Self::parse(&with_field(&self.0.json, "user", &user.json), 0.0)
    }
}

impl PartialEq for AuthSession {
    fn eq(&self, other: &Self) -> bool {
        self.has_tokens_of(other) && self.0.user == other.0.user
    }
}

impl fmt::Debug for AuthSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthSession")
            .field("user", &self.0.user)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// A user of the project.
///
/// `Debug` shows neither address nor metadata.
#[derive(Clone)]
#[non_exhaustive]
pub struct User {
    /// The id in every table.
    pub id: String,
    /// None for anonymous users.
    pub email: Option<String>,
    /// None if there is none.
    pub phone: Option<String>,
    /// Has this user no way to sign in again?
    pub is_anonymous: bool,
    json: String,
}

impl User {
    pub(super) fn parse(json: &str) -> Option<Self> {
        let user = Json::parse(json)?.fields();
        let text = |name: &str| user.get(name)?.text().filter(|text| !text.is_empty());
        let is_anonymous = user.get("is_anonymous").is_some_and(|value| value.raw() == "true");
        Some(Self { id: text("id")?, email: text("email"), phone: text("phone"), is_anonymous, json: json.to_owned() })
    }

    /// As it came.
    #[cfg(all(feature = "js", target_arch = "wasm32"))]
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    /// The whole user as a type of your own: `user_metadata`, `app_metadata`, `identities`, `created_at`, …
    ///
    /// # Errors
    /// [`Reason::InvalidResponse`] if it has another shape.
    pub fn parse_as<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.json).map_err(|error| {
            Error::new(Reason::InvalidResponse, format!("the user has another shape: {error}")).with_source(error)
        })
    }
}

/// Everything about them is the same.
impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("is_anonymous", &self.is_anonymous).finish_non_exhaustive()
    }
}

/// The object with this field in place of the one it had, and every other one as it was written.
pub(super) fn with_field(object: &str, name: &str, value: &str) -> String {
    let fields = Json::parse(object).map(Json::fields);
    let others = fields.iter().flat_map(Fields::iter).filter(|(key, _)| !key.is(name));
    others.fold(Object::new(), |object, (key, field)| object.raw(&key.text(), field.raw())).raw(name, value).finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::base64::encode_url;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", encode_url(claims.as_bytes()))
    }

    #[test]
    fn what_is_unknown_is_kept_and_what_is_missing_is_added() {
        let json =
            r#" {"access_token":"a","refresh_token":"r","expires_in":60,"new":[1,{"a":"\\u00e9"}],"user":{"id":"u"}}"#;
        let session = AuthSession::parse(json, 1000.0).unwrap();
        assert_eq!(session.expires_at(), 1060);
        let stored: serde_json::Value = serde_json::from_str(session.json()).unwrap();
        let mut expected: serde_json::Value = serde_json::from_str(json).unwrap();
        expected["expires_at"] = 1060.into();
        assert_eq!(stored, expected);
        let changed = session.with_user(&User::parse(r#"{"id":"u","email":"a@b.c"}"#).unwrap()).unwrap();
        assert_eq!(changed.user().email.as_deref(), Some("a@b.c"));
        assert!(changed.json().contains(r#""new":[1,{"a":"\\u00e9"}]"#), "{}", changed.json());
        assert!(changed.has_tokens_of(&session) && changed != session);
    }

    #[test]
    fn what_supabase_js_takes_for_no_session_is_none() {
        for json in [
            "",
            "null",
            "[]",
            "base64-e30",
            r#"{"access_token":"a","refresh_token":"r"}"#,
            r#"{"access_token":"a","refresh_token":"r","expires_in":-1}"#,
            r#"{"access_token":"","refresh_token":"r","expires_at":1,"user":{"id":"u"}}"#,
            r#"{"access_token":"a","expires_at":1,"user":{"id":"u"}}"#,
            r#"{"access_token":"a","refresh_token":"r","expires_at":1}"#,
        ] {
            assert!(AuthSession::parse(json, 0.0).is_none(), "{json}");
        }
    }

    #[test]
    fn a_token_says_whose_and_of_which_sign_in_it_is() {
        let session = |user: &str, login: &str, refresh: &str| {
            let token = token(&format!(r#"{{"sub":"{user}","session_id":"{login}","iat":10,"exp":70}}"#));
            let json = format!(r#"{{"access_token":"{token}","refresh_token":"{refresh}","expires_at":70}}"#);
            AuthSession::parse(&json, 0.0).unwrap()
        };
        let first = session("u", "l", "1");
        assert_eq!((first.user().id.as_str(), first.lifetime_ms()), ("u", Some(60_000.0)));
        assert!(session("u", "l", "2").continues(&first));
        assert!(!session("u", "m", "2").continues(&first) && !session("v", "l", "2").continues(&first));
    }

    #[test]
    fn neither_token_nor_address_is_shown() {
        let json = r#"{"access_token":"secret-a","refresh_token":"secret-r","expires_at":1,"user":{"id":"u-1","email":"ada@example.com"}}"#;
        let shown = format!("{:?}", AuthSession::parse(json, 0.0).unwrap());
        assert!(shown.contains("u-1") && !shown.contains("secret") && !shown.contains("ada"), "{shown}");
    }
}
