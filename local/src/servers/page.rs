//! The page origin: static files, the npm package as built, and the settings the page reads.

use std::path::Path;

use axum::http::{HeaderValue, header};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// `/config.json`: where everything is. Holds no secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    pub(crate) supabase_url: String,
    pub(crate) behest_url: String,
    pub(crate) publishable_key: String,
    pub(crate) function_name: &'static str,
}

pub(crate) fn router(www: &Path, package: Option<&Path>, settings: Settings) -> Router {
    let mut router = Router::new().route("/config.json", get(|| async move { Json(settings) }));
    if let Some(package) = package {
        router = router.nest_service("/pkg", ServeDir::new(package));
    }
    // Files change while one works on them.
    let no_cache = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    router.fallback_service(ServeDir::new(www)).layer(no_cache)
}
