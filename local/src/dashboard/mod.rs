//! `/dashboard` on the gateway's origin: what is used, what goes on, and what can be changed while the servers run.
//!
//! For this machine's browsers alone. Forms carry a secret that only the page knows, so that no other site can post them.

mod card;
mod chart;
mod connect;
mod export;
mod format;
mod forms;
mod notices;
mod overview;
mod page;
mod request;
mod requests;
mod room;
mod settings;
mod state;
mod tokens;
mod users;
mod view;
mod why;

use std::net::IpAddr;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::servers::this_machine::this_machine;
use crate::style;

pub(crate) use notices::Notices;
pub(crate) use state::Dashboard;

/// Everything comes from here, nothing may be framed, and nothing inline runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
     require-trusted-types-for 'script'; trusted-types live";

impl Dashboard {
    pub(crate) fn router(self, host: IpAddr) -> Router {
        let set = |name: HeaderName, value: &'static str| {
            SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
        };
        Router::new()
            .route("/dashboard", get(page::first))
            .route("/dashboard/{room}", get(page::show))
            .route("/dashboard/live/{room}", get(page::refresh))
            .route("/dashboard/requests/{id}", get(page::one))
            .route("/dashboard/usage.csv", get(export::usage))
            .route("/dashboard/origins", post(forms::origins))
            .route("/dashboard/budgets", post(forms::budgets))
            .route("/dashboard/faults", post(forms::faults))
            .route("/dashboard/switches", post(forms::switches))
            .route("/dashboard/keys", post(forms::keys))
            .route("/dashboard/plans", post(forms::plans))
            .route("/dashboard/bans", post(forms::bans))
            .route("/dashboard/style.css", get(|| async { asset("text/css; charset=utf-8", style::DASHBOARD) }))
            .route("/dashboard/live.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
            .with_state(self)
            .layer(set(header::CONTENT_SECURITY_POLICY, POLICY))
            .layer(set(header::CACHE_CONTROL, "no-store"))
            .layer(set(header::REFERRER_POLICY, "same-origin"))
            .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(middleware::from_fn_with_state(host, this_machine))
    }
}

const SCRIPT: &str = include_str!("live.js");

fn asset(media_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type)], text).into_response()
}
