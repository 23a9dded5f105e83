//! What the last form did, told once to whoever posted it. The address names a notice and cannot make one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use crate::domain::random;

const KEPT: usize = 20;

/// What was done, or why nothing was.
pub(super) type Notice = Result<String, String>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Notices(Arc<Mutex<VecDeque<(String, Notice)>>>);

impl Notices {
    /// Keeps it until it is shown, and gives the name to show it by.
    pub(super) fn keep(&self, notice: Notice) -> Result<String> {
        let name = random::word::<8>()?;
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notices.push_front((name.clone(), notice));
        notices.truncate(KEPT);
        Ok(name)
    }

    pub(super) fn take(&self, name: &str) -> Option<Notice> {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = notices.iter().position(|(kept, _)| kept == name)?;
        notices.remove(at).map(|(_, notice)| notice)
    }
}
