//! How far a task of several steps has come, and how long the rest will take.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How often the time left is told during a step.
const INTERVAL: Duration = Duration::from_secs(15);

/// Steps with the seconds each takes on a machine with two cores. Ends when it is dropped.
pub(crate) struct Progress<const N: usize> {
    steps: [(&'static str, u64); N],
    next: usize,
    /// Of the step under way; dropping it ends its ticking.
    _ticking: Option<Sender<()>>,
}

impl<const N: usize> Progress<N> {
    pub(crate) fn new(steps: [(&'static str, u64); N]) -> Self {
        Self { steps, next: 0, _ticking: None }
    }

    /// The next step begins.
    pub(crate) fn next(&mut self) {
        let Some((what, seconds)) = self.steps.get(self.next) else { return };
        self.next += 1;
        let (seconds, after) = (*seconds, self.steps[self.next..].iter().map(|(_, seconds)| seconds).sum());
        eprintln!("[{}/{N}] {what}: {}", self.next, left(seconds, after, 0));
        let (sender, dropped) = mpsc::channel::<()>();
        self._ticking = Some(sender);
        let (started, step) = (Instant::now(), self.next);
        thread::spawn(move || {
            while dropped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                eprintln!("[{step}/{N}] {}", left(seconds, after, started.elapsed().as_secs()));
            }
        });
    }
}

/// What is left of this step and after it. A step that takes longer than expected is taken to be at its end.
fn left(seconds: u64, after: u64, elapsed: u64) -> String {
    match seconds.saturating_sub(elapsed) + after {
        left @ 0..90 => format!("about {} s left", left.next_multiple_of(10).max(10)),
        left => format!("about {} minutes left", (left + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_falls_and_never_below_the_steps_to_come() {
        assert_eq!(left(120, 30, 0), "about 3 minutes left");
        assert_eq!(left(120, 30, 65), "about 90 s left");
        assert_eq!(left(120, 30, 119), "about 40 s left");
        assert_eq!(left(120, 30, 500), "about 30 s left");
        assert_eq!(left(1, 0, 7), "about 10 s left");
    }
}
