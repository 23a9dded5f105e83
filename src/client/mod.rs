//! The client.

/// The client.
pub struct Client;
