//! The page origin: static files, the npm package as built, and the settings the page reads.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::supabase::{Supabase, demo_user};
use super::this_machine::this_machine;

/// `/config.json`: where everything is. Holds no secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    pub(crate) supabase_url: String,
    pub(crate) behest_url: String,
    pub(crate) publishable_key: String,
    pub(crate) function_name: &'static str,
    /// Whom one press signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) demo_user: Option<String>,
}

pub(crate) fn router(
    www: &Path,
    package: Option<&Path>,
    settings: Settings,
    supabase: Supabase,
    host: IpAddr,
) -> Router {
    let mut router = Router::new();
    if let Some(email) = settings.demo_user.clone() {
        let session = post(move || async move { demo_session(&supabase, &email).await });
        router = router.route("/demo-session", session.layer(middleware::from_fn_with_state(host, this_machine)));
    }
    router = router.route("/config.json", get(|| async move { Json(settings) }));
    if let Some(package) = package {
        router = router.nest_service("/pkg", files(package));
    }
    // Files change while one works on them.
    let no_cache = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    router.fallback_service(files(www)).layer(no_cache)
}

/// A session of the demo user, for a page of this machine: nobody has to type the password. Other sites cannot read it.
async fn demo_session(supabase: &Supabase, email: &str) -> Response {
    match demo_user(supabase, email).await {
        Ok(session) => Json(session).into_response(),
        Err(error) => error.into_response(),
    }
}

/// The files of a folder, except hidden ones and those that lie elsewhere.
fn files(folder: &Path) -> Router {
    let inside = middleware::from_fn_with_state(folder.to_owned(), inside);
    Router::new().fallback_service(ServeDir::new(folder)).layer(inside)
}

async fn inside(State(folder): State<PathBuf>, request: Request, next: Next) -> Response {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    let path = Path::new(path.trim_start_matches('/'));
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(name) if !name.to_string_lossy().starts_with('.')));
    let mut file = folder.join(path);
    if tokio::fs::metadata(&file).await.is_ok_and(|data| data.is_dir()) && request.uri().path().ends_with('/') {
        file.push("index.html");
    }
    // What is not there has no real path, and is answered with 404 in any case.
    let real = tokio::fs::canonicalize(file).await;
    let root = tokio::fs::canonicalize(&folder).await;
    if plain && real.is_ok_and(|real| root.is_ok_and(|root| real.starts_with(root))) {
        next.run(request).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}
