//! What the servers share.

use std::sync::Arc;

use crate::admin::Admin;
use crate::domain::activity::Activity;
use crate::domain::clock::Clock;
use crate::domain::controls::Controls;
use crate::domain::counters::Counters;
use crate::domain::faults::Faults;
use crate::domain::identity::Identity;
use crate::domain::mail::Mailbox;
use crate::domain::origins::Origins;
use crate::store::Store;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) controls: Controls,
    pub(crate) activity: Activity,
    pub(crate) faults: Faults,
    pub(crate) mailbox: Mailbox,
    pub(crate) origins: Origins,
    pub(crate) supabase_url: String,
    pub(crate) gateway_url: String,
}

impl Shared {
    pub(crate) fn admin(&self) -> Admin {
        Admin { store: self.store.clone(), identity: Arc::clone(&self.identity), clock: self.clock.clone() }
    }
}
