//! `/_local`: what tests and tools on this machine may ask the servers.

use std::net::IpAddr;

use axum::routing::get;
use axum::{Json, Router, middleware};

use super::this_machine::this_machine;
use crate::domain::counters::Counters;
use crate::domain::mail::Mailbox;

/// `GET /_local/counters` and `GET /_local/mail`.
pub(crate) fn router(counters: Counters, mailbox: Mailbox, host: IpAddr) -> Router {
    Router::new()
        .route("/_local/counters", get(move || async move { Json(counters.all()) }))
        .route("/_local/mail", get(move || async move { Json(mailbox.letters()) }))
        .layer(middleware::from_fn_with_state(host, this_machine))
}
