//! What the pages share.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::notices::Notices;
use crate::servers::shared::Shared;
use crate::servers::supabase::Functions;

/// What the pages show and the forms change.
#[derive(Clone)]
pub(crate) struct Dashboard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) functions: Functions,
    /// Origins that are allowed at every start, without being asked for.
    pub(crate) implied: Vec<String>,
    pub(crate) notices: Notices,
    /// Known to the pages served here alone.
    pub(crate) form_key: Arc<str>,
}

/// A failure of the dashboard itself.
pub(super) struct Failure(anyhow::Error);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!(error = format!("{:#}", self.0), "the dashboard failed");
        let text = format!("The dashboard failed: {:#}", self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
    }
}
