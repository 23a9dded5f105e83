//! Counts what the servers were asked, so that a test can say "exactly one mint" and mean it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// Requests and outcomes by name, such as `mint` or `auth.token.password`. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Counters(Arc<watch::Sender<BTreeMap<String, u64>>>);

impl Default for Counters {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeMap::new())))
    }
}

impl Counters {
    pub(crate) fn add(&self, name: &str) {
        self.0.send_modify(|counts| *counts.entry(name.to_owned()).or_default() += 1);
    }

    /// How often `name` was counted; 0 if never.
    pub fn get(&self, name: &str) -> u64 {
        self.0.borrow().get(name).copied().unwrap_or_default()
    }

    /// All counts so far.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.borrow().clone()
    }

    /// Waits until `name` was counted at least `count` times. It waits as long as it takes: give it a deadline.
    pub async fn reached(&self, name: &str, count: u64) {
        let mut counts = self.0.subscribe();
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = counts.wait_for(|counts| counts.get(name).is_some_and(|seen| *seen >= count)).await;
    }
}
