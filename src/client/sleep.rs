//! The timer of one job.

use std::task::Context;

use crate::engine::{Moment, NEVER};
use crate::platform::{BoxFuture, Transport};
use crate::wire::millis;

/// A limit that is looked at so much later says that nothing ran meanwhile; so long may it take until everything has.
const SLEPT: f64 = 1_500.0;
const AWAKE: f64 = 500.0;

#[derive(Default)]
pub(crate) struct Sleep {
    timer: Option<BoxFuture<'static, ()>>,
    /// The limit that it was set for; less than nothing if that had passed long before: then it counts however late it fires.
    set_for: f64,
}

impl Sleep {
    /// Has this limit passed? If not, the context is woken then.
    pub(super) fn is_over(
        &mut self,
        due: f64,
        now: Moment,
        platform: &dyn Transport,
        context: &mut Context<'_>,
    ) -> bool {
        if due == NEVER {
            *self = Self::default();
            return false;
        }
        // A machine or a page that slept is told first of what came meanwhile.
        let slept = now.monotonic - due > SLEPT;
        let left = if slept { AWAKE } else { due - now.monotonic };
        if left <= 0.0 {
            return true;
        }
        let set_for = if slept { -due } else { due };
        if self.set_for != set_for || self.timer.is_none() {
            *self = Self { timer: Some(platform.sleep(millis(left))), set_for };
        }
        let fired = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
        if fired {
            self.timer = None;
        }
        fired
    }
}
