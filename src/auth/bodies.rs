//! What Supabase Auth is told by Rust programs, as supabase-js tells it. (`pkg/lib/auth/auth.js` writes those of the npm package.)

use super::op::{Kind, Op};
use super::options::{AuthOptions, UserChanges, VerifyType};
use super::pkce::challenge;
use super::words::{AuthEvent, Scope};
use crate::object::Object;
use crate::text::push_parameter;

impl Op {
    pub(super) fn password(contact: &str, password: &str, options: &AuthOptions) -> Self {
        let body = Body::of(contact).text("password", password).captcha(options);
        Self { secret: password.into(), ..body.post(Kind::Password) }
    }

    pub(super) fn sign_up(contact: &str, password: &str, verifier: String, options: &AuthOptions) -> Self {
        let body = Body::of(contact).text("password", password).json("data", &options.data);
        let verifier = Some(verifier).filter(|_| is_address(contact));
        Self { secret: password.into(), ..body.captcha(options).letter(Kind::SignUp, verifier, options) }
    }

    pub(super) fn anonymous(options: &AuthOptions) -> Self {
        Body::new().json("data", &options.data).captcha(options).post(Kind::Anonymous)
    }

    pub(super) fn code(contact: &str, verifier: String, options: &AuthOptions) -> Self {
        let create = if options.create_user { "true" } else { "false" };
        let body = Body::of(contact).json("create_user", create).json("data", &options.data);
        let verifier = Some(verifier).filter(|_| is_address(contact));
        body.captcha(options).letter(Kind::Code, verifier, options)
    }

    pub(super) fn recovery(email: &str, verifier: String, options: &AuthOptions) -> Self {
        Body::new().text("email", email.trim_ascii()).captcha(options).letter(Kind::Recovery, Some(verifier), options)
    }

    pub(super) fn verify(contact: &str, code: &str, kind: VerifyType) -> Self {
        let code = code.trim_ascii();
        let word = if is_address(contact) { kind.as_str() } else { kind.of_telephone() };
        Body::of(contact).text("token", code).text("type", word).verification(code, kind)
    }

    pub(super) fn verify_hash(token_hash: &str, kind: VerifyType) -> Self {
        Body::new().text("token_hash", token_hash).text("type", kind.as_str()).verification(token_hash, kind)
    }

    pub(super) fn exchange_code(code: &str) -> Self {
        Self { secret: code.into(), ..Self::new(Kind::Exchange) }
    }

    pub(super) fn change(changes: UserChanges, verifier: String, options: &AuthOptions) -> Self {
        // A new address gets a letter.
        let verifier = Some(verifier).filter(|_| changes.has("email"));
        let changes = verifier.iter().fold(changes, |changes, verifier| {
            changes.text("code_challenge", &challenge(verifier)).text("code_challenge_method", "s256")
        });
        Self { body: changes.0, redirect_to: options.redirect_to.clone(), verifier, ..Self::new(Kind::Update) }
    }

    pub(super) fn sign_out(scope: Scope) -> Self {
        Self { scope, ..Self::new(Kind::SignOut) }
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
        Self::new().text(if is_address(contact) { "email" } else { "phone" }, contact.trim_ascii())
    }

    fn text(self, name: &str, value: &str) -> Self {
        Self(self.0.text(name, value))
    }

    fn json(self, name: &str, value: &str) -> Self {
        Self(self.0.raw(name, value))
    }

    fn captcha(self, options: &AuthOptions) -> Self {
        match &options.captcha_token {
            Some(token) => self.json("gotrue_meta_security", &Object::new().text("captcha_token", token).finish()),
            None => self,
        }
    }

    fn post(self, kind: Kind) -> Op {
        Op { body: self.0.finish(), ..Op::new(kind) }
    }

    /// For a letter with a way back. Telephones get a code, and Supabase takes no verifier for them.
    fn letter(self, kind: Kind, verifier: Option<String>, options: &AuthOptions) -> Op {
        let body = verifier.iter().fold(self, |body, verifier| {
            body.text("code_challenge", &challenge(verifier)).text("code_challenge_method", "s256")
        });
        Op { redirect_to: options.redirect_to.clone(), verifier, ..body.post(kind) }
    }

    fn verification(self, secret: &str, kind: VerifyType) -> Op {
        let event = if kind == VerifyType::Recovery { AuthEvent::PasswordRecovery } else { AuthEvent::SignedIn };
        Op { secret: secret.into(), event, ..self.post(Kind::Verify) }
    }
}

impl AuthOptions {
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

    use super::super::keeper::{Audience, Keeper};
    use super::super::requests::Ask;
    use super::super::session::AuthSession;
    use super::super::storage::{Kept, MemoryStorage};
    use super::*;
    use crate::Secret;

    struct Nobody;

    impl Audience for Nobody {
        fn told(&self, _event: AuthEvent, _session: Option<&AuthSession>) {}

        fn broadcast(&self, _event: AuthEvent, _session: Option<&AuthSession>) {}
    }

    /// What is asked for it, in the name of the user whose token is `a-token`.
    fn ask(mut op: Op) -> Ask {
        let keeper = Keeper::new(Kept::new(Box::new(MemoryStorage::new())), "key".to_owned(), Box::new(Nobody));
        keeper.keep_verifier(Some("kept"));
        let json = r#"{"access_token":"a-token","refresh_token":"r","expires_at":1,"user":{"id":"u"}}"#;
        let session = AuthSession::parse(json, 0.0);
        op.ask(&keeper, session.as_ref()).unwrap()
    }

    #[test]
    fn bodies_are_what_supabase_js_sends() {
        let options = AuthOptions::new()
            .redirect_to("https://a.b/?c=d")
            .data(json!({ "name": "Ada \"L\"" }))
            .captcha_token("cap")
            .create_user(false);
        let captcha = json!({ "captcha_token": "cap" });
        let data = json!({ "name": "Ada \"L\"" });
        let redirect = "redirect_to=https%3A%2F%2Fa.b%2F%3Fc%3Dd";
        let changes = UserChanges::new().email("e@x").password("p").data(json!({ "a": null })).nonce("n");
        let verifier = || "verifier".to_owned();
        let ch = challenge("verifier");
        for (op, method, path, body) in [
            (
                Op::password(" e@x", "p\"w", &options),
                "POST",
                "/token?grant_type=password".to_owned(),
                json!({ "email": "e@x", "password": "p\"w", "gotrue_meta_security": captcha }),
            ),
            (
                Op::password("+491", "p", &AuthOptions::new()),
                "POST",
                "/token?grant_type=password".to_owned(),
                json!({ "phone": "+491", "password": "p" }),
            ),
            (
                Op::sign_up("e@x", "p", verifier(), &options),
                "POST",
                format!("/signup?{redirect}"),
                json!({ "email": "e@x", "password": "p", "data": data, "gotrue_meta_security": captcha,
                        "code_challenge": ch, "code_challenge_method": "s256" }),
            ),
            (
                Op::anonymous(&options),
                "POST",
                "/signup".to_owned(),
                json!({ "data": data, "gotrue_meta_security": captcha }),
            ),
            (
                Op::code("e@x", verifier(), &options),
                "POST",
                format!("/otp?{redirect}"),
                json!({ "email": "e@x", "create_user": false, "data": data, "gotrue_meta_security": captcha,
                        "code_challenge": ch, "code_challenge_method": "s256" }),
            ),
            (
                Op::recovery("e@x", verifier(), &AuthOptions::new()),
                "POST",
                "/recover".to_owned(),
                json!({ "email": "e@x", "code_challenge": ch, "code_challenge_method": "s256" }),
            ),
            (
                Op::verify("e@x", " 123456 ", VerifyType::Email),
                "POST",
                "/verify".to_owned(),
                json!({ "email": "e@x", "token": "123456", "type": "email" }),
            ),
            (
                Op::verify("+491", "123456", VerifyType::Email),
                "POST",
                "/verify".to_owned(),
                json!({ "phone": "+491", "token": "123456", "type": "sms" }),
            ),
            (
                Op::verify_hash("hash", VerifyType::Recovery),
                "POST",
                "/verify".to_owned(),
                json!({ "token_hash": "hash", "type": "recovery" }),
            ),
            (
                Op::exchange_code("code"),
                "POST",
                "/token?grant_type=pkce".to_owned(),
                json!({ "auth_code": "code", "code_verifier": "kept" }),
            ),
            (
                Op::change(changes, verifier(), &options),
                "PUT",
                format!("/user?{redirect}"),
                json!({ "email": "e@x", "password": "p", "data": { "a": null }, "nonce": "n",
                        "code_challenge": ch, "code_challenge_method": "s256" }),
            ),
            // No letter, no way back.
            (
                Op::change(UserChanges::new().phone("+491"), verifier(), &AuthOptions::new()),
                "PUT",
                "/user".to_owned(),
                json!({ "phone": "+491" }),
            ),
            (
                Op::sign_up("+491", "p", verifier(), &AuthOptions::new()),
                "POST",
                "/signup".to_owned(),
                json!({ "phone": "+491", "password": "p", "data": {} }),
            ),
            (
                Op::code("+491", verifier(), &AuthOptions::new()),
                "POST",
                "/otp".to_owned(),
                json!({ "phone": "+491", "create_user": true, "data": {} }),
            ),
        ] {
            let ask = ask(op);
            let sent: Value = serde_json::from_str(ask.body.as_deref().unwrap()).unwrap();
            assert_eq!((ask.method, ask.url(""), sent), (method, ["/auth/v1", &path].concat(), body));
        }
        let refresh = Ask::refresh(&Secret::from("r"));
        assert_eq!(refresh.url(""), "/auth/v1/token?grant_type=refresh_token");
        assert_eq!(refresh.body.as_deref(), Some(r#"{"refresh_token":"r"}"#));
        for (op, method, path) in
            [(Op::sign_out(Scope::Others), "POST", "/logout?scope=others"), (Op::new(Kind::User), "GET", "/user")]
        {
            let ask = ask(op);
            assert_eq!((ask.method, ask.url(""), &ask.body), (method, ["/auth/v1", path].concat(), &None));
            assert_eq!(ask.bearer, Some(Secret::from("a-token")));
        }
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
