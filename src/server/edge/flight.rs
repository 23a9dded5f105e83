//! One at a time, without waiting for what another request began.

use std::sync::{Mutex, PoisonError};

use super::host;
use super::operation::Operation;

/// For so many milliseconds a request believes that another one is at it. On Workers the other may be cancelled, and then it
/// never ends.
const PATIENCE: f64 = 2000.0;
const LOOK_AGAIN_MS: u32 = 10;

/// A piece of work that requests do one after another, each looking first whether another did it already. They wait by timers
/// of their own: on Workers none may wait for what another one began. What a finished one has found out may be shared.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight(Mutex<Option<f64>>);

/// The turn of one request.
pub(crate) struct Turn<'a> {
    flight: &'a SingleFlight,
    until: f64,
}

impl SingleFlight {
    pub(crate) async fn enter(&self) -> Turn<'_> {
        while self.is_busy() {
            Operation::begin(|id| host::sleep(id, LOOK_AGAIN_MS)).await;
        }
        let until = host::now() + PATIENCE;
        self.set(Some(until));
        Turn { flight: self, until }
    }

    /// Is somebody at it?
    pub(crate) fn is_busy(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| host::now() < until)
    }

    fn set(&self, until: Option<f64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let own = *self.flight.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(self.until);
        if own {
            self.flight.set(None);
        }
    }
}

/// Does a piece of work to its end. A request that it began with goes on, on all hosts but Workers, whoever hangs up.
pub(crate) async fn to_the_end<F: Future>(work: F) -> Option<F::Output> {
    Some(work.await)
}
