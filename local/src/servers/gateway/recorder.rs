//! Writes usage rows, also for callers that have gone away.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::domain::clock::Clock;
use crate::domain::counters::Counters;
use crate::servers::shared::Shared;
use crate::store::threads::{self, Turn};
use crate::store::usage::UsageRow;
use crate::store::{Store, ledger};

#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    store: Store,
    clock: Clock,
    counters: Counters,
    writes: TaskTracker,
    runtime: Handle,
}

impl Recorder {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(shared: &Shared) -> Self {
        let (store, clock, counters) = (shared.store.clone(), shared.clock.clone(), shared.counters.clone());
        Self { store, clock, counters, writes: TaskTracker::new(), runtime: Handle::current() }
    }

    /// The time by which rows are dated.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Waits until every row that was begun is written.
    pub(crate) async fn finish(&self) {
        self.writes.close();
        self.writes.wait().await;
    }

    /// Gives back what a chat that never ran had reserved.
    pub(crate) fn release(&self, request_id: String) {
        let store = self.store.clone();
        let release = move || {
            if let Err(error) = store.blocking(|db| ledger::release(db, &request_id)) {
                tracing::error!(error = format!("{error:#}"), "a reservation could not be given back");
            }
        };
        self.writes.spawn_blocking_on(release, &self.runtime);
    }

    /// Starts the write at once: a caller that stops waiting does not stop it.
    pub(super) fn record(&self, row: UsageRow, turn: Option<Turn>) -> JoinHandle<()> {
        let Self { store, counters, .. } = self.clone();
        let write = move || {
            let written = store.blocking(|db| {
                ledger::settle(db, &row)?;
                turn.as_ref().map_or(Ok(()), |turn| threads::append(db, turn, row.created_at))
            });
            match written {
                Ok(()) => {
                    counters.add(&format!("chat.{}", row.outcome));
                    tracing::info!(
                        trace_id = row.request_id,
                        user = row.user_id,
                        session = row.session_id,
                        model = row.model,
                        input_tokens = row.input_tokens,
                        output_tokens = row.output_tokens,
                        "chat {}",
                        row.outcome
                    );
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), ?row, "a usage row could not be written"),
            }
        };
        self.writes.spawn_blocking_on(write, &self.runtime)
    }
}
