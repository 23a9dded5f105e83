//! What can be changed while the servers run.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::{Context as _, Result};
use regex::Regex;

/// The documented shapes of error bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ErrorShape {
    /// `{"error": {"code", "message", "details"?}}`, as the current SDKs read it.
    #[default]
    Nested,
    /// `{"error": "text", "code", "retryable"}`, as the API documents it for auth and admin.
    Flat,
    /// As nested, with codes such as `BEHEST_AUTH_EXPIRED` and `BEHEST_RATE_LIMIT`.
    Named,
    /// `{"message", "code"}`, as the first SDKs read it.
    Legacy,
}

/// The two documented families of mint replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MintReply {
    /// `{"jwt", "project_id", "ttl", "session_id"}`
    #[default]
    Jwt,
    /// `{"access_token", "token_type", "project_id", "expires_in"}`
    AccessToken,
}

/// The gateway's switches. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Controls(Arc<RwLock<Switches>>);

/// `Config` says what each means.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    /// Refuses every call of this project.
    pub(crate) killed: bool,
    pub(crate) tier_limits: bool,
    pub(crate) blocked: Vec<Regex>,
    pub(crate) error_shape: ErrorShape,
    pub(crate) mint_reply: MintReply,
}

impl Controls {
    pub(crate) fn new(switches: Switches) -> Self {
        Self(Arc::new(RwLock::new(switches)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Switches> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Switches> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The patterns of `--block`.
pub(crate) fn patterns(texts: &[String]) -> Result<Vec<Regex>> {
    let pattern =
        |text: &String| Regex::new(text).with_context(|| format!("--block: {text:?} is not a regular expression"));
    texts.iter().map(pattern).collect()
}
