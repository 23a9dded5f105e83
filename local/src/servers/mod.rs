//! The three origins, and what they have in common.

pub(crate) mod gateway;
pub(crate) mod page;
pub(crate) mod port;
pub(crate) mod shared;
pub(crate) mod supabase;
pub(crate) mod this_machine;
pub(crate) mod tools;

mod access_log;
mod bearer;
mod inject_faults;
mod unread;
