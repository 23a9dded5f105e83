//! What can be changed while the servers run.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use anyhow::{Context as _, Result};
use regex::Regex;
use tokio::sync::watch;

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
pub(crate) struct Controls {
    switches: Arc<RwLock<Switches>>,
    killed: Arc<watch::Sender<bool>>,
}

/// `Config` says what each means.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    pub(crate) tier_limits: bool,
    pub(crate) blocked: Vec<Regex>,
    pub(crate) error_shape: ErrorShape,
    pub(crate) mint_reply: MintReply,
}

impl Controls {
    pub(crate) fn new(switches: Switches) -> Self {
        Self { switches: Arc::new(RwLock::new(switches)), killed: Arc::new(watch::Sender::new(false)) }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Switches> {
        self.switches.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_tier_limits(&self, on: bool) {
        self.switches.write().unwrap_or_else(PoisonError::into_inner).tier_limits = on;
    }

    /// Is every call of this project refused?
    pub(crate) fn killed(&self) -> bool {
        *self.killed.borrow()
    }

    pub(crate) fn set_killed(&self, killed: bool) {
        self.killed.send_replace(killed);
    }

    /// Waits until the kill switch is on.
    pub(crate) async fn on_kill(&self) {
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = self.killed.subscribe().wait_for(|killed| *killed).await;
    }
}

/// The patterns of `--block`.
pub(crate) fn patterns(texts: &[String]) -> Result<Vec<Regex>> {
    let pattern =
        |text: &String| Regex::new(text).with_context(|| format!("--block: {text:?} is not a regular expression"));
    texts.iter().map(pattern).collect()
}
