//! What the handlers of the gateway share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::rates::Rates;
use super::recorder::Recorder;
use super::responder::Responder;
use crate::domain::activity::Activity;
use crate::domain::clock::Clock;
use crate::domain::controls::Controls;
use crate::domain::counters::Counters;
use crate::domain::faults::Faults;
use crate::domain::identity::Identity;
use crate::store::Store;

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) controls: Controls,
    pub(crate) rates: Rates,
    pub(crate) activity: Activity,
    pub(crate) faults: Faults,
    pub(crate) responder: Arc<Responder>,
    pub(crate) recorder: Recorder,
    /// Cancelled when running answers have to end.
    pub(crate) cut: CancellationToken,
}
