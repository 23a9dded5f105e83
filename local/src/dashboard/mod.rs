//! `/dashboard` on the gateway's origin: what is used, what goes on, and what can be changed while the servers run.
//!
//! For this machine's browsers alone. Forms carry a secret that only the page knows, so that no other site can post them.

mod chart;
mod export;
mod forms;
mod live;
mod page;
mod settings;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::activity::Activity;
use crate::clock::Clock;
use crate::controls::Controls;
use crate::faults::Faults;
use crate::html;
use crate::identity::Identity;
use crate::mail::Mailbox;
use crate::origins::Origins;
use crate::store::Store;
use crate::supabase::Functions;
use crate::tools;

/// What the pages show and the forms change.
#[derive(Clone)]
pub(crate) struct Dashboard {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Clock,
    pub(crate) activity: Activity,
    pub(crate) controls: Controls,
    pub(crate) faults: Faults,
    pub(crate) mailbox: Mailbox,
    pub(crate) origins: Origins,
    pub(crate) functions: Functions,
    pub(crate) supabase_url: String,
    pub(crate) gateway_url: String,
    /// Origins that are allowed at every start, without being asked for.
    pub(crate) implied: Vec<String>,
    /// Known to the pages served here alone.
    pub(crate) form_key: Arc<str>,
}

/// Everything comes from here, nothing may be framed, and nothing inline runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

impl Dashboard {
    pub(crate) fn router(self, host: IpAddr) -> Router {
        let set = |name: HeaderName, value: &'static str| {
            SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
        };
        Router::new()
            .route("/dashboard", get(page::show))
            .route("/dashboard/live", get(live::show))
            .route("/dashboard/usage.csv", get(export::usage))
            .route("/dashboard/origins", post(forms::origins))
            .route("/dashboard/budgets", post(forms::budgets))
            .route("/dashboard/faults", post(forms::faults))
            .route("/dashboard/switches", post(forms::switches))
            .route("/dashboard/keys", post(forms::keys))
            .route("/dashboard/style.css", get(|| async { asset("text/css; charset=utf-8", STYLES) }))
            .route("/dashboard/live.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
            .with_state(self)
            .layer(set(header::CONTENT_SECURITY_POLICY, POLICY))
            .layer(set(header::CACHE_CONTROL, "no-store"))
            .layer(set(header::REFERRER_POLICY, "same-origin"))
            .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(middleware::from_fn_with_state(host, tools::this_machine))
    }
}

const STYLES: &str = concat!(include_str!("style.css"), include_str!("dashboard.css"));
const SCRIPT: &str = include_str!("live.js");

fn asset(media_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type)], text).into_response()
}

/// A failure of the dashboard itself.
struct Failure(anyhow::Error);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!(error = format!("{:#}", self.0), "the dashboard failed");
        let text = html::escape(&format!("The dashboard failed: {:#}", self.0));
        (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
    }
}
