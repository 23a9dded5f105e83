//! What Supabase Auth is asked: paths and bodies, as supabase-js sends them.

use serde_json::{Map, Value};

use super::options::AuthOptions;
use super::session::{object, push_name, push_text};
use super::{Scope, UserChanges, VerifyType};
use crate::Secret;
use crate::text::push_parameter;

/// One request to Supabase Auth.
pub(super) struct Ask {
    pub(super) method: &'static str,
    /// Below `auth/v1`, with its query.
    pub(super) path: String,
    pub(super) body: Option<String>,
    /// In whose name.
    pub(super) bearer: Option<Secret>,
    /// What the answer must not say again: a password, a code.
    pub(super) secret: String,
}

impl Ask {
    fn post(path: &str, body: String, secret: &str) -> Self {
        Self { method: "POST", path: path.to_owned(), body: Some(body), bearer: None, secret: secret.to_owned() }
    }

    fn user(method: &'static str, path: &str, bearer: &Secret) -> Self {
        let (path, secret) = (path.to_owned(), bearer.expose().clone());
        Self { method, path, body: None, bearer: Some(bearer.clone()), secret }
    }

    pub(super) fn password(contact: &str, password: &str, options: &AuthOptions) -> Self {
        let mut body = object(kind_of(contact), contact);
        extend(&mut body, |json| {
            push_text("password", password, json);
            push_captcha(options, json);
        });
        Self::post("/token?grant_type=password", body, password)
    }

    pub(super) fn sign_up(contact: &str, password: &str, challenge: &str, options: &AuthOptions) -> Self {
        let mut body = object(kind_of(contact), contact);
        extend(&mut body, |json| {
            push_text("password", password, json);
            push_json("data", &Value::Object(options.data.clone()), json);
            push_captcha(options, json);
            push_challenge(challenge, json);
        });
        Self::post(&options.with_redirect("/signup"), body, password)
    }

    pub(super) fn anonymous(options: &AuthOptions) -> Self {
        let mut body = String::from("{}");
        extend(&mut body, |json| {
            push_json("data", &Value::Object(options.data.clone()), json);
            push_captcha(options, json);
        });
        Self::post("/signup", body, "")
    }

    pub(super) fn code(contact: &str, challenge: &str, options: &AuthOptions) -> Self {
        let mut body = object(kind_of(contact), contact);
        extend(&mut body, |json| {
            push_json("create_user", &Value::Bool(options.create_user), json);
            push_json("data", &Value::Object(options.data.clone()), json);
            push_captcha(options, json);
            push_challenge(challenge, json);
        });
        Self::post(&options.with_redirect("/otp"), body, "")
    }

    pub(super) fn recovery(email: &str, challenge: &str, options: &AuthOptions) -> Self {
        let mut body = object("email", email);
        extend(&mut body, |json| {
            push_captcha(options, json);
            push_challenge(challenge, json);
        });
        Self::post(&options.with_redirect("/recover"), body, "")
    }

    pub(super) fn verify(contact: &str, code: &str, kind: VerifyType) -> Self {
        let mut body = object(kind_of(contact), contact);
        let kind = if contact.contains('@') { kind.as_str() } else { kind.of_telephone() };
        extend(&mut body, |json| {
            push_text("token", code, json);
            push_text("type", kind, json);
        });
        Self::post("/verify", body, code)
    }

    pub(super) fn verify_hash(token_hash: &str, kind: VerifyType) -> Self {
        let mut body = object("token_hash", token_hash);
        extend(&mut body, |json| push_text("type", kind.as_str(), json));
        Self::post("/verify", body, token_hash)
    }

    pub(super) fn exchange(code: &str, verifier: &str) -> Self {
        let mut body = object("auth_code", code);
        extend(&mut body, |json| push_text("code_verifier", verifier, json));
        Self::post("/token?grant_type=pkce", body, verifier)
    }

    pub(super) fn refresh(refresh_token: &Secret) -> Self {
        let body = object("refresh_token", refresh_token.expose());
        Self::post("/token?grant_type=refresh_token", body, refresh_token.expose())
    }

    pub(super) fn who(access_token: &Secret) -> Self {
        Self::user("GET", "/user", access_token)
    }

    pub(super) fn change(access_token: &Secret, changes: &UserChanges) -> Self {
        let mut body = String::from("{}");
        extend(&mut body, |json| {
            for (name, value) in [("email", &changes.email), ("phone", &changes.phone), ("nonce", &changes.nonce)] {
                if let Some(value) = value {
                    push_text(name, value, json);
                }
            }
            if let Some(password) = &changes.password {
                push_text("password", password.expose(), json);
            }
            if let Some(data) = &changes.data {
                push_json("data", &Value::Object(data.clone()), json);
            }
        });
        Self { body: Some(body), ..Self::user("PUT", "/user", access_token) }
    }

    pub(super) fn sign_out(access_token: &Secret, scope: Scope) -> Self {
        let path = ["/logout?scope=", scope.as_str()].concat();
        Self::user("POST", &path, access_token)
    }
}

impl AuthOptions {
    /// The path, and where letters lead to.
    fn with_redirect(&self, path: &str) -> String {
        let mut path = path.to_owned();
        if let Some(url) = &self.redirect_to {
            push_parameter("redirect_to", url, &mut path);
        }
        path
    }

    /// Where the browser is sent to, to come back signed in.
    pub(super) fn authorize(&self, base: &str, provider: &str, challenge: &str) -> String {
        let mut url = [base, "/authorize"].concat();
        push_parameter("provider", provider, &mut url);
        for (name, value) in [("redirect_to", &self.redirect_to), ("scopes", &self.scopes)] {
            if let Some(value) = value {
                push_parameter(name, value, &mut url);
            }
        }
        push_parameter("code_challenge", challenge, &mut url);
        push_parameter("code_challenge_method", "s256", &mut url);
        for (name, value) in &self.parameters {
            push_parameter(name, value, &mut url);
        }
        url
    }
}

/// By what a user is known: an address has an `@`, a telephone number has none.
fn kind_of(contact: &str) -> &'static str {
    if contact.contains('@') { "email" } else { "phone" }
}

fn extend(body: &mut String, fields: impl FnOnce(&mut String)) {
    body.pop();
    fields(body);
    body.push('}');
}

fn push_json(name: &str, value: &Value, json: &mut String) {
    push_name(name, json);
    json.push_str(&value.to_string());
}

fn push_challenge(challenge: &str, json: &mut String) {
    push_text("code_challenge", challenge, json);
    push_text("code_challenge_method", "s256", json);
}

fn push_captcha(options: &AuthOptions, json: &mut String) {
    if let Some(token) = &options.captcha_token {
        let token = Map::from_iter([("captcha_token".to_owned(), Value::String(token.clone()))]);
        push_json("gotrue_meta_security", &Value::Object(token), json);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_what_supabase_js_sends() {
        let options = AuthOptions::new()
            .redirect_to("https://a.b/?c=d")
            .data(json!({ "name": "Ada \"L\"" }))
            .captcha_token("cap")
            .create_user(false);
        let captcha = json!({ "captcha_token": "cap" });
        let data = json!({ "name": "Ada \"L\"" });
        let token = Secret::from("a-token");
        let redirect = "redirect_to=https%3A%2F%2Fa.b%2F%3Fc%3Dd";
        let changes = UserChanges::new().email("e@x").password("p").data(json!({ "a": null })).nonce("n");
        for (ask, method, path, body) in [
            (
                Ask::password("e@x", "p\"w", &options),
                "POST",
                "/token?grant_type=password".to_owned(),
                json!({ "email": "e@x", "password": "p\"w", "gotrue_meta_security": captcha }),
            ),
            (
                Ask::password("+491", "p", &AuthOptions::new()),
                "POST",
                "/token?grant_type=password".to_owned(),
                json!({ "phone": "+491", "password": "p" }),
            ),
            (
                Ask::sign_up("e@x", "p", "ch", &options),
                "POST",
                format!("/signup?{redirect}"),
                json!({ "email": "e@x", "password": "p", "data": data, "gotrue_meta_security": captcha,
                        "code_challenge": "ch", "code_challenge_method": "s256" }),
            ),
            (
                Ask::anonymous(&options),
                "POST",
                "/signup".to_owned(),
                json!({ "data": data, "gotrue_meta_security": captcha }),
            ),
            (
                Ask::code("e@x", "ch", &options),
                "POST",
                format!("/otp?{redirect}"),
                json!({ "email": "e@x", "create_user": false, "data": data, "gotrue_meta_security": captcha,
                        "code_challenge": "ch", "code_challenge_method": "s256" }),
            ),
            (
                Ask::recovery("e@x", "ch", &AuthOptions::new()),
                "POST",
                "/recover".to_owned(),
                json!({ "email": "e@x", "code_challenge": "ch", "code_challenge_method": "s256" }),
            ),
            (
                Ask::verify("e@x", "123456", VerifyType::Email),
                "POST",
                "/verify".to_owned(),
                json!({ "email": "e@x", "token": "123456", "type": "email" }),
            ),
            (
                Ask::verify("+491", "123456", VerifyType::Email),
                "POST",
                "/verify".to_owned(),
                json!({ "phone": "+491", "token": "123456", "type": "sms" }),
            ),
            (
                Ask::verify_hash("hash", VerifyType::Recovery),
                "POST",
                "/verify".to_owned(),
                json!({ "token_hash": "hash", "type": "recovery" }),
            ),
            (
                Ask::exchange("code", "verifier"),
                "POST",
                "/token?grant_type=pkce".to_owned(),
                json!({ "auth_code": "code", "code_verifier": "verifier" }),
            ),
            (
                Ask::refresh(&token),
                "POST",
                "/token?grant_type=refresh_token".to_owned(),
                json!({ "refresh_token": "a-token" }),
            ),
            (
                Ask::change(&token, &changes),
                "PUT",
                "/user".to_owned(),
                json!({ "email": "e@x", "password": "p", "data": { "a": null }, "nonce": "n" }),
            ),
        ] {
            let sent: Value = serde_json::from_str(ask.body.as_deref().unwrap()).unwrap();
            assert_eq!((ask.method, ask.path, sent), (method, path, body));
        }
        let ask = Ask::sign_out(&token, Scope::Others);
        assert_eq!((ask.path.as_str(), ask.body, ask.bearer), ("/logout?scope=others", None, Some(token.clone())));
        assert_eq!(Ask::who(&token).method, "GET");
    }

    #[test]
    fn a_provider_is_asked_for_a_code() {
        let options = AuthOptions::new().redirect_to("https://a.b/").scopes("repo user").parameter("prompt", "consent");
        assert_eq!(
            options.authorize("https://s/auth/v1", "github", "ch"),
            "https://s/auth/v1/authorize?provider=github&redirect_to=https%3A%2F%2Fa.b%2F&scopes=repo%20user\
             &code_challenge=ch&code_challenge_method=s256&prompt=consent"
        );
    }
}
