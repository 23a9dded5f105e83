//! The crate's sign-in for a page that has supabase-js, too: what `tests/js/rust-pages.test.mjs` drives.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, unreachable_pub, reason = "for one test")]

use behest_client::Error;
use behest_client::auth::{AuthSession, Scope, Supabase};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
pub struct Auth(Supabase);

fn thrown(error: Error) -> JsValue {
    js_sys::Error::new(&error.to_string()).into()
}

fn user(session: &AuthSession) -> String {
    session.user().id.clone()
}

#[wasm_bindgen]
impl Auth {
    #[wasm_bindgen(constructor)]
    pub fn new(url: &str, key: &str) -> Result<Auth, JsValue> {
        Supabase::new(url, key).map(Auth).map_err(thrown)
    }

    #[wasm_bindgen(js_name = signIn)]
    pub async fn sign_in(&self, email: String, password: String) -> Result<String, JsValue> {
        let session = self.0.clone().sign_in_with_password(&email, &password).await;
        session.map(|session| user(&session)).map_err(thrown)
    }

    pub async fn session(&self) -> Result<Option<String>, JsValue> {
        let session = self.0.clone().session().await;
        session.map(|session| session.as_ref().map(user)).map_err(thrown)
    }

    pub async fn refresh(&self) -> Result<String, JsValue> {
        self.0.clone().refresh().await.map(|session| user(&session)).map_err(thrown)
    }

    #[wasm_bindgen(js_name = signOut)]
    pub async fn sign_out(&self) -> Result<(), JsValue> {
        self.0.clone().sign_out(Scope::Global).await.map_err(thrown)
    }

    /// Calls `heard(event, user id or null)`, for ever.
    #[wasm_bindgen(js_name = onChange)]
    pub fn on_change(&self, heard: js_sys::Function) {
        let following = self.0.on_change(move |event, session| {
            let user = session.map_or(JsValue::NULL, |session| user(session).into());
            let _ = heard.call2(&JsValue::UNDEFINED, &event.as_str().into(), &user);
        });
        following.forget();
    }
}
