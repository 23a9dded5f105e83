//! What Supabase Auth is asked, as supabase-js asks it.

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
    pub(super) bearer: Option<Secret>,
}

impl Ask {
    /// `body` is JSON, or nothing.
    pub(super) fn new(method: &'static str, path: &str, body: &str) -> Self {
        let body = (!body.is_empty()).then(|| body.to_owned());
        Self { method, path: path.to_owned(), body, bearer: None }
    }

    pub(super) fn refresh(refresh_token: &Secret) -> Self {
        let body = Object::new().text("refresh_token", refresh_token.expose()).finish();
        Self::new("POST", "/token?grant_type=refresh_token", &body)
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        push_parameter(name, value, &mut self.path);
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
}
