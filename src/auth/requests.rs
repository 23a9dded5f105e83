//! What Supabase Auth is asked: paths and bodies, as supabase-js sends them.

use serde_json::Value;

use super::options::AuthOptions;
use super::{Scope, UserChanges, VerifyType};
use crate::Secret;
use crate::object::Object;
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
        let body = of(contact).text("password", password);
        Self::post("/token?grant_type=password", options.with_captcha(body).finish(), password)
    }

    pub(super) fn sign_up(contact: &str, password: &str, challenge: &str, options: &AuthOptions) -> Self {
        let body = options.with_captcha(options.with_data(of(contact).text("password", password)));
        Self::post(&options.with_redirect("/signup"), challenged(body, challenge), password)
    }

    pub(super) fn anonymous(options: &AuthOptions) -> Self {
        Self::post("/signup", options.with_captcha(options.with_data(Object::new())).finish(), "")
    }

    pub(super) fn code(contact: &str, challenge: &str, options: &AuthOptions) -> Self {
        let body = of(contact).raw("create_user", if options.create_user { "true" } else { "false" });
        let body = options.with_captcha(options.with_data(body));
        Self::post(&options.with_redirect("/otp"), challenged(body, challenge), "")
    }

    pub(super) fn recovery(email: &str, challenge: &str, options: &AuthOptions) -> Self {
        let body = options.with_captcha(Object::new().text("email", email));
        Self::post(&options.with_redirect("/recover"), challenged(body, challenge), "")
    }

    pub(super) fn verify(contact: &str, code: &str, kind: VerifyType) -> Self {
        let kind = if contact.contains('@') { kind.as_str() } else { kind.of_telephone() };
        Self::post("/verify", of(contact).text("token", code).text("type", kind).finish(), code)
    }

    pub(super) fn verify_hash(token_hash: &str, kind: VerifyType) -> Self {
        let body = Object::new().text("token_hash", token_hash).text("type", kind.as_str());
        Self::post("/verify", body.finish(), token_hash)
    }

    pub(super) fn exchange(code: &str, verifier: &str) -> Self {
        let body = Object::new().text("auth_code", code).text("code_verifier", verifier);
        Self::post("/token?grant_type=pkce", body.finish(), verifier)
    }

    pub(super) fn refresh(refresh_token: &Secret) -> Self {
        let token = refresh_token.expose();
        Self::post("/token?grant_type=refresh_token", Object::new().text("refresh_token", token).finish(), token)
    }

    pub(super) fn who(access_token: &Secret) -> Self {
        Self::user("GET", "/user", access_token)
    }

    pub(super) fn change(access_token: &Secret, changes: &UserChanges) -> Self {
        let password = changes.password.as_ref().map(Secret::expose);
        let texts = [
            ("email", changes.email.as_ref()),
            ("phone", changes.phone.as_ref()),
            ("nonce", changes.nonce.as_ref()),
            ("password", password),
        ];
        let mut body = Object::new();
        for (name, value) in texts {
            body = value.into_iter().fold(body, |body, value| body.text(name, value));
        }
        if let Some(data) = &changes.data {
            body = body.raw("data", &Value::Object(data.clone()).to_string());
        }
        let body = body.finish();
        Self { body: Some(body), ..Self::user("PUT", "/user", access_token) }
    }

    pub(super) fn sign_out(access_token: &Secret, scope: Scope) -> Self {
        let path = ["/logout?scope=", scope.as_str()].concat();
        Self::user("POST", &path, access_token)
    }
}

impl AuthOptions {
    fn with_data(&self, body: Object) -> Object {
        body.raw("data", &Value::Object(self.data.clone()).to_string())
    }

    fn with_captcha(&self, body: Object) -> Object {
        match &self.captcha_token {
            Some(token) => body.raw("gotrue_meta_security", &Object::new().text("captcha_token", token).finish()),
            None => body,
        }
    }

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
fn of(contact: &str) -> Object {
    Object::new().text(if contact.contains('@') { "email" } else { "phone" }, contact)
}

fn challenged(body: Object, challenge: &str) -> String {
    body.text("code_challenge", challenge).text("code_challenge_method", "s256").finish()
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
