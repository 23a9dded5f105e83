//! This machine: its folders, commands and their ends.

pub(crate) mod artifacts;
pub(crate) mod children;
pub(crate) mod commands;
pub(crate) mod places;
pub(crate) mod progress;
