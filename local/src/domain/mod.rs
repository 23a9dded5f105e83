//! What the servers share and none of them owns: pure rules and state in memory, without HTTP and without the database.

pub(crate) mod activity;
pub(crate) mod clock;
pub(crate) mod content;
pub(crate) mod controls;
pub(crate) mod counters;
pub(crate) mod faults;
pub(crate) mod gateway_token;
pub(crate) mod identity;
pub(crate) mod jwt;
pub(crate) mod limits;
pub(crate) mod loopback;
pub(crate) mod mail;
pub(crate) mod origins;
pub(crate) mod random;
