//! The running system.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use behest_client::Secret;
use tokio::task::JoinSet;
use tokio_util::sync::DropGuard;

use crate::admin::Admin;
use crate::domain::clock::Clock;
use crate::domain::counters::Counters;
use crate::domain::mail::Letter;
use crate::servers::gateway::Recorder;
use crate::servers::shared::Shared;
use crate::store::{Lock, settings};

/// Connections get this long to close after their answers have been cut.
const AFTER_CUT: Duration = Duration::from_secs(2);

/// Somebody to sign in as.
#[derive(Clone, Debug)]
pub struct DemoUser {
    /// The address.
    pub email: String,
    /// The password, new at every start.
    pub password: String,
}

/// The running system. Dropped without [`stop`](Self::stop), it stops at once and cuts running answers.
#[derive(Debug)]
pub struct Running {
    /// The Supabase origin, without a trailing slash.
    pub supabase_url: String,
    /// The gateway origin, without a trailing slash.
    pub gateway_url: String,
    /// The page origin, without a trailing slash; `None` if no page is served.
    pub page_url: Option<String>,
    /// The Supabase project's publishable key.
    pub publishable_key: String,
    /// The API key that mints gateway tokens. It belongs on servers only.
    pub behest_key: Secret,
    /// The demo user, if one was asked for.
    pub demo_user: Option<DemoUser>,
    pub(crate) admin: Admin,
    pub(crate) shared: Arc<Shared>,
    pub(crate) recorder: Recorder,
    pub(crate) servers: JoinSet<()>,
    pub(crate) closing: DropGuard,
    pub(crate) cut: DropGuard,
    pub(crate) grace: Duration,
    /// Other servers stay away from the data file as long as this lives.
    pub(crate) _lock: Lock,
}

impl Running {
    /// The dashboard, for browsers on this machine.
    pub fn dashboard_url(&self) -> String {
        format!("{}/dashboard", self.gateway_url)
    }

    /// What the servers were asked so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The clock of all parts.
    pub fn clock(&self) -> &Clock {
        &self.admin.clock
    }

    /// The project's users, keys, budgets and usage.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The letters with codes that would have been sent, newest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.shared.mailbox.letters()
    }

    /// Switches the gateway's project off, or on again, for the next start too. Off, running answers end.
    ///
    /// # Errors
    /// If the data cannot be written.
    pub async fn set_killed(&self, killed: bool) -> Result<()> {
        self.shared.set_killed(killed).await
    }

    /// Takes no more requests, lets running answers go on for [`Config::grace`](crate::Config::grace), cuts those that are left,
    /// and returns when every usage row is written.
    pub async fn stop(mut self) {
        drop(self.closing);
        if tokio::time::timeout(self.grace, drain(&mut self.servers)).await.is_err() {
            tracing::warn!("cutting the answers that are still running");
        }
        drop(self.cut);
        if tokio::time::timeout(AFTER_CUT, drain(&mut self.servers)).await.is_err() {
            tracing::warn!("some connections did not close");
            self.servers.shutdown().await;
        }
        self.recorder.finish().await;
        if let Err(error) = self.admin.store.run(|db| settings::set(db, settings::RUNNING, None)).await {
            tracing::warn!(error = format!("{error:#}"), "the data file still says that the servers run");
        }
        if let Err(error) = self.admin.store.settle().await {
            tracing::warn!(error = format!("{error:#}"), "the data file is whole only with the files beside it");
        }
    }
}

async fn drain(servers: &mut JoinSet<()>) {
    while servers.join_next().await.is_some() {}
}
