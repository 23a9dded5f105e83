//! The module on JavaScript hosts: Deno, Cloudflare Workers, Node, Bun. It calls a few functions of `pkg/server-host.js` and is
//! called by `pkg/server-core.js`; texts, bytes and numbers go across, and nothing else. What takes time is an operation: the
//! host is told to begin it, and says when it is done ([`operation`]). No promise, no closure, no object of the host's is held
//! here, and a trap can only leave through the function that was called.

mod client;
pub(super) mod crypto;
mod exports;
mod facade;
mod flight;
mod headers;
mod host;
pub(super) mod log;
mod operation;
mod options;
mod policy;
mod time;
mod url;

pub(super) use self::client::http_client;
pub(super) use self::flight::{SingleFlight, to_the_end};
pub(super) use self::time::{now, within};
pub(super) use self::url::parse as parse_url;
