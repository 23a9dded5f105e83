//! The mail this machine would send: shown in the terminal and on the dashboard, sent nowhere.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

const KEPT: usize = 50;

/// A letter with a sign-in code.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Letter {
    /// The address.
    pub to: String,
    /// The six digits.
    pub code: String,
    /// The same as a link to open, for the page that asked for it.
    pub link: String,
    /// The link's `token_hash`, for `verifyOtp({ token_hash, type: "email" })`.
    pub token_hash: String,
    /// What it is for: `sign-in` or `recovery`.
    pub purpose: &'static str,
    /// Milliseconds since the Unix epoch.
    pub sent_at: i64,
}

/// The last letters, newest first. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox(Arc<Mutex<VecDeque<Letter>>>);

impl Mailbox {
    pub(crate) fn send(&self, letter: Letter) {
        tracing::info!(to = letter.to, code = letter.code, link = letter.link, "mail: the {} code", letter.purpose);
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push_front(letter);
        letters.truncate(KEPT);
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
