//! The server module from outside: an HTTP request goes in, an HTTP answer comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod configuration;
mod cors;
mod guard;
mod key_forms;
mod minting;
mod plans;
mod requests;
mod rotation;
mod secrecy;
mod sessions;
mod sockets;
mod support;
