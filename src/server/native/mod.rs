//! What the module needs of an ordinary operating system.

mod client;
pub(super) mod crypto;
mod flight;
pub(super) mod log;
mod time;
mod url;

pub use self::client::NativeClient;
pub(super) use self::client::http_client;
pub(super) use self::flight::{SingleFlight, to_the_end};
pub(super) use self::time::{now, within};
pub(super) use self::url::parse as parse_url;
