//! What Supabase Auth is asked: paths and bodies, as supabase-js sends them.

use super::options::AuthOptions;
use super::{Scope, UserChanges, VerifyType};
use crate::Secret;
use crate::engine::bearer;
use crate::object::Object;
use crate::text::push_parameter;

/// One request to Supabase Auth.
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Below `auth/v1`, with its query.
    path: String,
    pub(crate) body: Option<String>,
    /// In whose name.
    bearer: Option<Secret>,
    /// What the answer must not say again: a password, a code.
    pub(crate) secret: String,
}

impl Ask {
    fn post(path: &str, body: Body, secret: &str) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            body: Some(body.0.finish()),
            bearer: None,
            secret: secret.to_owned(),
        }
    }

    fn user(method: &'static str, path: &str, bearer: &Secret) -> Self {
        let (path, secret) = (path.to_owned(), bearer.expose().clone());
        Self { method, path, body: None, bearer: Some(bearer.clone()), secret }
    }

    /// At this project.
    pub(crate) fn url(&self, project: &str) -> String {
        [project, "/auth/v1", &self.path].concat()
    }

    /// With the project's key.
    pub(crate) fn headers(&self, key: &str) -> Vec<(&'static str, String)> {
        let mut headers = vec![("apikey", key.to_owned()), ("x-supabase-api-version", "2024-01-01".to_owned())];
        if let Some(token) = &self.bearer {
            headers.push(("authorization", bearer(token)));
        }
        if self.body.is_some() {
            headers.push(("content-type", "application/json;charset=UTF-8".to_owned()));
        }
        headers
    }

    pub(super) fn password(contact: &str, password: &str, options: &AuthOptions) -> Self {
        let body = Body::of(contact).text("password", password).captcha(options);
        Self::post("/token?grant_type=password", body, password)
    }

    pub(super) fn sign_up(contact: &str, password: &str, challenge: &str, options: &AuthOptions) -> Self {
        let body = Body::of(contact).text("password", password).json("data", &options.data);
        let body = body.captcha(options).challenge(challenge);
        Self::post(&options.with_redirect("/signup"), body, password)
    }

    pub(super) fn anonymous(options: &AuthOptions) -> Self {
        Self::post("/signup", Body::new().json("data", &options.data).captcha(options), "")
    }

    pub(super) fn code(contact: &str, challenge: &str, options: &AuthOptions) -> Self {
        let create = if options.create_user { "true" } else { "false" };
        let body = Body::of(contact).json("create_user", create).json("data", &options.data);
        Self::post(&options.with_redirect("/otp"), body.captcha(options).challenge(challenge), "")
    }

    pub(super) fn recovery(email: &str, challenge: &str, options: &AuthOptions) -> Self {
        let body = Body::new().text("email", email).captcha(options).challenge(challenge);
        Self::post(&options.with_redirect("/recover"), body, "")
    }

    pub(super) fn verify(contact: &str, code: &str, kind: VerifyType) -> Self {
        let kind = if is_address(contact) { kind.as_str() } else { kind.of_telephone() };
        Self::post("/verify", Body::of(contact).text("token", code).text("type", kind), code)
    }

    pub(super) fn verify_hash(token_hash: &str, kind: VerifyType) -> Self {
        Self::post("/verify", Body::new().text("token_hash", token_hash).text("type", kind.as_str()), token_hash)
    }

    pub(super) fn exchange(code: &str, verifier: &str) -> Self {
        let body = Body::new().text("auth_code", code).text("code_verifier", verifier);
        Self::post("/token?grant_type=pkce", body, verifier)
    }

    pub(super) fn refresh(refresh_token: &Secret) -> Self {
        let token = refresh_token.expose();
        Self::post("/token?grant_type=refresh_token", Body::new().text("refresh_token", token), token)
    }

    pub(super) fn who(access_token: &Secret) -> Self {
        Self::user("GET", "/user", access_token)
    }

    pub(super) fn change(access_token: &Secret, changes: &UserChanges, options: &AuthOptions) -> Self {
        let body = Some(changes.0.clone());
        Self { body, ..Self::user("PUT", &options.with_redirect("/user"), access_token) }
    }

    pub(super) fn sign_out(access_token: &Secret, scope: Scope) -> Self {
        Self::user("POST", &["/logout?scope=", scope.as_str()].concat(), access_token)
    }
}

/// An address has an `@`, a telephone number has none.
fn is_address(contact: &str) -> bool {
    contact.bytes().any(|byte| byte == b'@')
}

/// A body that is being written.
struct Body(Object);

impl Body {
    fn new() -> Self {
        Self(Object::new())
    }

    /// By what a user is known.
    fn of(contact: &str) -> Self {
        Self::new().text(if is_address(contact) { "email" } else { "phone" }, contact)
    }

    fn text(self, name: &str, value: &str) -> Self {
        Self(self.0.text(name, value))
    }

    fn json(self, name: &str, value: &str) -> Self {
        Self(self.0.raw(name, value))
    }

    fn challenge(self, challenge: &str) -> Self {
        self.text("code_challenge", challenge).text("code_challenge_method", "s256")
    }

    fn captcha(self, options: &AuthOptions) -> Self {
        match &options.captcha_token {
            Some(token) => self.json("gotrue_meta_security", &Object::new().text("captcha_token", token).finish()),
            None => self,
        }
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
    pub(super) fn authorize(&self, project: &str, provider: &str, challenge: &str) -> String {
        let mut url = [project, "/auth/v1/authorize"].concat();
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};

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
                Ask::change(&token, &changes, &options),
                "PUT",
                format!("/user?{redirect}"),
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
            options.authorize("https://s", "github", "ch"),
            "https://s/auth/v1/authorize?provider=github&redirect_to=https%3A%2F%2Fa.b%2F&scopes=repo%20user\
             &code_challenge=ch&code_challenge_method=s256&prompt=consent"
        );
    }
}
