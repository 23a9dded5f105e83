//! Tasks, and the operations of the host that they wait for.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::host;

/// What an operation came to; what the three mean stands with each in `host.rs`.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) code: u32,
    pub(super) text: String,
    pub(super) bytes: Vec<u8>,
}

/// An operation that has begun. Dropped before it is done, it is cancelled.
pub(super) struct Operation {
    id: u32,
    done: bool,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The task that waits, and what it waits for once that is there.
struct Wait {
    task: u32,
    outcome: Option<Outcome>,
}

thread_local! {
    static TASKS: RefCell<Table<Option<Task>>> = const { RefCell::new(Table::new()) };
    static WAITS: RefCell<Table<Wait>> = const { RefCell::new(Table::new()) };
    /// The task that is running.
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

/// Runs a future as far as it goes; the host's [`resume`] takes it further.
pub(super) fn spawn(future: impl Future<Output = ()> + 'static) {
    let task: Task = Box::pin(future);
    let id = TASKS.with_borrow_mut(|tasks| tasks.add(Some(task)));
    run(id);
}

/// An operation is done.
pub(super) fn resume(id: u32, outcome: Outcome) {
    let task = WAITS.with_borrow_mut(|waits| {
        let wait = waits.get(id)?;
        wait.outcome = Some(outcome);
        Some(wait.task)
    });
    if let Some(task) = task {
        run(task);
    }
}

fn run(id: u32) {
    // Taken out while it runs: it may begin tasks and operations.
    let Some(mut task) = TASKS.with_borrow_mut(|tasks| tasks.get(id)?.take()) else { return };
    let before = RUNNING.replace(id);
    // Nobody needs to be woken: `resume` knows whose turn it is.
    let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    RUNNING.set(before);
    TASKS.with_borrow_mut(|tasks| match polled {
        Poll::Pending => drop(tasks.get(id).map(|place| *place = Some(task))),
        Poll::Ready(()) => drop(tasks.remove(id)),
    });
}

impl Operation {
    /// `start` tells the host to begin the operation of this id.
    pub(super) fn begin(start: impl FnOnce(u32)) -> Self {
        let id = WAITS.with_borrow_mut(|waits| waits.add(Wait { task: RUNNING.get(), outcome: None }));
        start(id);
        Self { id, done: false }
    }
}

impl Future for Operation {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = WAITS.with_borrow_mut(|waits| {
            let outcome = waits.get(self.id)?.outcome.take()?;
            waits.remove(self.id);
            Some(outcome)
        });
        self.done |= outcome.is_some();
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.done {
            WAITS.with_borrow_mut(|waits| waits.remove(self.id));
            host::cancel(self.id);
        }
    }
}

/// Values by number. A number is given again only after many others, so that a late word about a value that is gone is not
/// taken for one about another.
pub(super) struct Table<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

/// The lower bits of a number are its place.
const PLACE_BITS: u32 = 18;

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(super) fn add(&mut self, value: T) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        let (turn, empty) = &mut self.places[place as usize];
        *turn = turn.wrapping_add(1);
        *empty = Some(value);
        *turn << PLACE_BITS | place
    }

    pub(super) fn get(&mut self, number: u32) -> Option<&mut T> {
        let (turn, value) = self.places.get_mut((number & ((1 << PLACE_BITS) - 1)) as usize)?;
        value.as_mut().filter(|_| *turn << PLACE_BITS == number >> PLACE_BITS << PLACE_BITS)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        self.get(number)?;
        let place = number & ((1 << PLACE_BITS) - 1);
        self.free.push(place);
        self.places[place as usize].1.take()
    }
}
