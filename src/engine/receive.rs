//! Where a face receives what the bytes of a stream turn out to be.

use crate::json::Text;

/// Where a face receives what bytes turn out to be, in their order.
pub(crate) trait Receive {
    /// A chunk's JSON text, as the gateway sent it.
    fn chunk(&mut self, json: &str);
    /// What was handed out last is what the next ones may be [`alike`](Self::alike) to.
    fn pattern(&mut self) {}
    /// A chunk that differs from the pattern only in the first answer's text.
    fn alike(&mut self, json: &str, _text: Text<'_>) {
        self.chunk(json);
    }
    /// More of the first answer's text, which goes on from half a surrogate pair. Gives that at its own end.
    fn text(&mut self, text: Text<'_>, half: Option<u16>) -> Option<u16>;
    /// More of one of the first answer's tool calls. Id and name are empty where nothing new is known.
    fn tool_call(&mut self, slot: usize, id: &str, name: &str, arguments: &str);
    /// The gateway's word for why the first answer ended.
    fn finish_reason(&mut self, reason: &str);
    /// What it cost, as JSON.
    fn usage(&mut self, json: &str);
}

/// What is handed out of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Text,
    Chunks,
}

/// Simulations have no use for it.
#[cfg(all(test, not(target_arch = "wasm32")))]
impl Receive for () {
    fn chunk(&mut self, _: &str) {}
    fn text(&mut self, _: Text<'_>, half: Option<u16>) -> Option<u16> {
        half
    }
    fn tool_call(&mut self, _: usize, _: &str, _: &str, _: &str) {}
    fn finish_reason(&mut self, _: &str) {}
    fn usage(&mut self, _: &str) {}
}
