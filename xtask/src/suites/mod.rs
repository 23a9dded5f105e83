//! `cargo xtask test` and `check`: the suites, and how they are run and counted.

mod counts;
mod features;
mod policy;
mod published;
pub(crate) mod run;
pub(crate) mod screenshots;
pub(crate) mod table;
pub(crate) mod trust;
mod upstream;
