//! Why running answers have to end.

use tokio_util::sync::CancellationToken;

use crate::domain::controls::Controls;

#[derive(Clone, Debug)]
pub(crate) struct Stop {
    /// Cancelled when the servers stop.
    pub(crate) cut: CancellationToken,
    pub(crate) controls: Controls,
}

impl Stop {
    /// Waits for the end, and says why it came.
    pub(super) async fn reason(&self) -> &'static str {
        tokio::select! {
            () = self.cut.cancelled() => "The gateway is shutting down",
            () = self.controls.on_kill() => "This project is switched off: its kill switch is on",
        }
    }
}
