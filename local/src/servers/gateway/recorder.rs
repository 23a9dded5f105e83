//! Writes usage rows, also for callers that have gone away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::domain::clock::Clock;
use crate::domain::counters::Counters;
use crate::servers::shared::Shared;
use crate::store::threads::{self, Turn};
use crate::store::usage::UsageRow;
use crate::store::{Store, ledger};

/// A row, and what a thread remembers of its chat.
type Due = (UsageRow, Option<Turn>);

#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    store: Store,
    clock: Clock,
    counters: Counters,
    due: Arc<Mutex<Vec<Due>>>,
    writes: TaskTracker,
    runtime: Handle,
}

impl Recorder {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(shared: &Shared) -> Self {
        Self::over(shared.store.clone(), shared.clock.clone(), shared.counters.clone())
    }

    fn over(store: Store, clock: Clock, counters: Counters) -> Self {
        Self { store, clock, counters, due: Arc::default(), writes: TaskTracker::new(), runtime: Handle::current() }
    }

    /// The time by which rows are dated.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Waits until every row that was begun is written.
    pub(crate) async fn finish(&self) {
        self.catch_up().await;
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
        let recorder = self.clone();
        let write = move || {
            recorder.write((row, turn));
            recorder.write_due();
        };
        self.writes.spawn_blocking_on(write, &self.runtime)
    }

    /// Writes what could not be written before: a disk was full, for example.
    pub(super) async fn catch_up(&self) {
        let is_due = !self.lock().is_empty();
        if is_due {
            let recorder = self.clone();
            let write = self.writes.spawn_blocking_on(move || recorder.write_due(), &self.runtime);
            // A lost task has been logged by the runtime.
            let _ = write.await;
        }
    }

    fn write_due(&self) {
        let due = std::mem::take(&mut *self.lock());
        due.into_iter().for_each(|due| self.write(due));
    }

    /// A row whose answer was given stays due until it is written.
    fn write(&self, (row, turn): Due) {
        let written = self.store.blocking(|db| {
            ledger::settle(db, &row)?;
            turn.as_ref().map_or(Ok(()), |turn| threads::append(db, turn, row.created_at))
        });
        if let Err(error) = written {
            tracing::error!(error = format!("{error:#}"), ?row, "a usage row could not be written yet");
            self.lock().push((row, turn));
            return;
        }
        self.counters.add(&format!("chat.{}", row.outcome));
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

    fn lock(&self) -> MutexGuard<'_, Vec<Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_that_cannot_be_written_is_written_later() {
        let store = Store::open(None).await.unwrap();
        let recorder = Recorder::over(store.clone(), Clock::default(), Counters::default());
        let row = |id: &str| UsageRow {
            request_id: id.to_owned(),
            user_id: "ada".to_owned(),
            session_id: "s".to_owned(),
            model: "m".to_owned(),
            input_tokens: 1,
            output_tokens: 2,
            cost_nanos: 3,
            source: "counted".to_owned(),
            outcome: "complete".to_owned(),
            created_at: 4,
        };
        let rows = async || {
            let count = store.run(|db| Ok(db.query_row("SELECT count(*) FROM usage", [], |row| row.get::<_, i64>(0))?));
            count.await.unwrap()
        };
        let full = "CREATE TRIGGER full BEFORE INSERT ON usage BEGIN SELECT RAISE(ABORT, 'disk full'); END";
        for emptied in [true, false] {
            store.run(|db| Ok(db.execute_batch(full)?)).await.unwrap();
            let before = rows().await;
            recorder.record(row(&format!("a{emptied}")), None).await.unwrap();
            recorder.catch_up().await;
            assert_eq!(rows().await, before);
            store.run(|db| Ok(db.execute_batch("DROP TRIGGER full")?)).await.unwrap();
            if emptied {
                recorder.catch_up().await;
                assert_eq!(rows().await, before + 1, "before the next chat is admitted");
            }
        }
        recorder.record(row("b"), None).await.unwrap();
        assert_eq!(rows().await, 3, "with the next row, too");
    }
}
