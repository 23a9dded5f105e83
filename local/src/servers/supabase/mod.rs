//! The Supabase origin: `auth/v1`, `rest/v1` and `functions/v1`.

mod auth;
mod caller;
mod functions;
mod gate;
mod rest;
mod state;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get};
use axum::{Router, middleware};

use super::access_log;
use super::inject_faults::{self, Injector};

pub(crate) use auth::password::Hasher;
pub(crate) use auth::rate_limit::RateLimits;
pub(crate) use auth::sign_in::{demo_user, ensure_user};
pub(crate) use functions::Functions;
pub(crate) use functions::proxy::Proxy;
pub(crate) use functions::token_function::{NAME as FUNCTION_NAME, TokenFunction};
pub(crate) use state::Supabase;

/// The largest body that is read.
const BODY_LIMIT: usize = 1024 * 1024;

impl Supabase {
    /// All routes of this origin. A function owns its CORS answers.
    pub(crate) fn router(self, functions: Functions) -> Router {
        let shared = Arc::clone(&self.shared);
        let faults = |refuse, owns_cors| Injector { shared: Arc::clone(&shared), refuse, owns_cors };
        let rest = Router::new()
            .route("/{table}", get(rest::read).fallback(rest::write))
            .route("/rpc/{function}", any(rest::call))
            .fallback(|| async { rest::RestError::no_such_path() })
            .layer(middleware::from_fn_with_state(self.clone(), gate::require_api_key))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(middleware::from_fn_with_state(faults(rest::RestError::fault, false), inject_faults::inject))
            .layer(gate::cors());
        let auth = auth::routes(&self, faults(auth::error::AuthError::fault, false))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(gate::cors());
        let of_functions = faults(functions::error::fault, true);
        let of_functions = middleware::from_fn_with_state(of_functions, inject_faults::inject);
        Router::new()
            .nest("/auth/v1", auth)
            .nest("/rest/v1", rest)
            .with_state(self.clone())
            .nest("/functions/v1", functions.routes(self.clone()).layer(of_functions))
            .merge(Router::new().fallback(gate::not_here).layer(gate::any_cors()))
            .layer(middleware::from_fn_with_state((shared.activity.clone(), "supabase"), access_log::note))
    }
}
