//! Work that any number of callers wait for, and that goes on if all of them leave.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Error;
use crate::client::dropped;
use crate::platform::{BoxFuture, Transport};

/// Something under way. Clones wait for the same.
pub(super) struct Flight<T>(Arc<Mutex<State<T>>>);

enum State<T> {
    Pending(Vec<Waker>),
    Done(T),
    /// Whoever should have carried it on dropped it, for this reason.
    Dropped(Error),
}

impl<T: Clone + crate::platform::MaybeSend + 'static> Flight<T> {
    /// Lets it go on by itself.
    pub(super) fn start(transport: &dyn Transport, work: BoxFuture<'static, T>) -> Self {
        let flight = Self(Arc::new(Mutex::new(State::Pending(Vec::new()))));
        transport.spawn(Box::pin(Task { work, flight: flight.clone() }));
        flight
    }

    pub(super) fn is_over(&self) -> bool {
        !matches!(*self.state(), State::Pending(_))
    }

    /// What comes of it; an error if it was dropped.
    pub(super) async fn outcome(&self) -> Result<T, Error> {
        let mut known: Option<Waker> = None;
        poll_fn(|context| match &mut *self.state() {
            State::Done(value) => Poll::Ready(Ok(value.clone())),
            State::Dropped(error) => Poll::Ready(Err(error.clone())),
            State::Pending(waiting) => {
                // However often it is polled, it waits once.
                if !known.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                    known = Some(context.waker().clone());
                    waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}

impl<T> Flight<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: State<T>) {
        let before = std::mem::replace(&mut *self.state(), end);
        if let State::Pending(waiting) = before {
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Carries the work on. Dropped before its end, it says so.
struct Task<T> {
    work: BoxFuture<'static, T>,
    flight: Flight<T>,
}

impl<T> Future for Task<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.work.as_mut().poll(context).map(|value| self.flight.end(State::Done(value)))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        let is_pending = matches!(*self.flight.state(), State::Pending(_));
        if is_pending {
            self.flight.end(State::Dropped(dropped()));
        }
    }
}
