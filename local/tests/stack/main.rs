//! Each origin, and the whole path through all of them, over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod auth;
mod budgets;
mod client_auth;
mod commands;
mod data_file;
mod exposure;
mod faults;
mod functions;
mod gateway;
mod keys;
mod limits;
mod operation;
mod refusals;
mod responder;
mod rest;
mod sign_in;
mod support;
mod threads;
mod upstream;
mod users;
mod whole_path;
