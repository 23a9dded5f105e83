//! What the handlers of the gateway share.

use std::sync::Arc;

use super::rates::Rates;
use super::recorder::Recorder;
use super::responder::Responder;
use super::stop::Stop;
use crate::servers::shared::Shared;

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) rates: Rates,
    pub(crate) responder: Arc<Responder>,
    pub(crate) recorder: Recorder,
    pub(crate) stop: Stop,
}
