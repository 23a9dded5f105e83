//! What the handlers of the gateway share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::rates::Rates;
use super::recorder::Recorder;
use super::responder::Responder;
use crate::servers::shared::Shared;

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) rates: Rates,
    pub(crate) responder: Arc<Responder>,
    pub(crate) recorder: Recorder,
    /// Cancelled when running answers have to end.
    pub(crate) cut: CancellationToken,
}
