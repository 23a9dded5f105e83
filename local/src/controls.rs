//! What can be changed while the servers run.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::{Context as _, Result};
use regex::Regex;

use crate::config::{Config, ErrorShape, MintReply};

/// The gateway's switches. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Controls(Arc<RwLock<Switches>>);

/// See [`Config`] for their meaning.
#[derive(Debug)]
pub(crate) struct Switches {
    /// Refuses every call of this project.
    pub(crate) killed: bool,
    pub(crate) tier_limits: bool,
    pub(crate) blocked: Vec<Regex>,
    pub(crate) error_shape: ErrorShape,
    pub(crate) mint_reply: MintReply,
}

impl Controls {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let pattern =
            |text: &String| Regex::new(text).with_context(|| format!("--block: {text:?} is not a regular expression"));
        Ok(Self(Arc::new(RwLock::new(Switches {
            killed: false,
            tier_limits: config.tier_limits,
            blocked: config.block.iter().map(pattern).collect::<Result<_>>()?,
            error_shape: config.error_shape,
            mint_reply: config.mint_reply,
        }))))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Switches> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Switches> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
