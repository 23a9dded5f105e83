//! The beginning of an answer.

use bytes::Bytes;
use futures_util::stream::BoxStream;

/// The upstream broke off in the middle of its answer.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

pub(crate) enum Reply {
    /// A whole completion.
    Whole(Bytes),
    /// Server-sent events, as they come.
    Events(BoxStream<'static, Result<Bytes, Broken>>),
}
