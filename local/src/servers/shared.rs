//! What the servers share.

use std::sync::Arc;

use anyhow::Result;

use crate::admin::Admin;
use crate::domain::activity::Activity;
use crate::domain::clock::Clock;
use crate::domain::controls::Controls;
use crate::domain::counters::Counters;
use crate::domain::faults::Faults;
use crate::domain::identity::Identity;
use crate::domain::mail::Mailbox;
use crate::domain::origins::Origins;
use crate::store::{Store, settings};

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
    /// Switches the gateway's project off, or on again, for the next start too.
    pub(crate) async fn set_killed(&self, killed: bool) -> Result<()> {
        self.controls.set_killed(killed);
        self.keep(settings::KILLED, on(killed)).await
    }

    /// Enforces the limits of tiers or not, for the next start too.
    pub(crate) async fn set_tier_limits(&self, enforced: bool) -> Result<()> {
        self.controls.set_tier_limits(enforced);
        self.keep(settings::TIER_LIMITS, on(enforced)).await
    }

    /// Keeps the faults that are set for the next start.
    pub(crate) async fn keep_faults(&self) -> Result<()> {
        let faults: Vec<String> = self.faults.lock().iter().map(ToString::to_string).collect();
        self.keep(settings::FAULTS, Some(faults.join("\n"))).await
    }

    async fn keep(&self, name: &'static str, value: Option<String>) -> Result<()> {
        self.store.run(move |db| settings::set(db, name, value.as_deref())).await
    }

    /// Brings back what was kept at the last run.
    pub(crate) async fn restore(&self) -> Result<()> {
        let names = [settings::KILLED, settings::TIER_LIMITS, settings::FAULTS];
        let kept =
            self.store.run(move |db| names.iter().map(|name| settings::get(db, name)).collect::<Result<Vec<_>>>());
        let [killed, tier_limits, faults] = <[_; 3]>::try_from(kept.await?).unwrap_or_default();
        if killed.is_some() {
            tracing::warn!("the kill switch is on, as it was left: the dashboard switches it off");
            self.controls.set_killed(true);
        }
        if tier_limits.is_some() {
            self.controls.set_tier_limits(true);
        }
        self.faults.restore(faults.unwrap_or_default().lines().filter_map(|line| line.parse().ok()));
        Ok(())
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin { store: self.store.clone(), identity: Arc::clone(&self.identity), clock: self.clock.clone() }
    }
}

fn on(is_on: bool) -> Option<String> {
    is_on.then(|| "on".to_owned())
}
