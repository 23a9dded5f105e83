//! The npm package: from Rust to tarball, and what it weighs.

pub(crate) mod crate_file;
mod glue;
mod inline;
pub(crate) mod leptos;
mod names;
pub(crate) mod pack;
mod reasons;
pub(crate) mod reproducible;
pub(crate) mod rust_pages;
pub(crate) mod size;
