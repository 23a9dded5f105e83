//! The client's contract. Every test runs natively and, by `wasm-pack test`, in browsers: see `behest_client::testing`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity, unreachable_pub)]

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

mod api;
mod await_points;
#[cfg(target_arch = "wasm32")]
mod browser;
mod budgets;
mod calls;
mod chat_store;
mod config;
mod errors;
#[cfg(not(target_arch = "wasm32"))]
mod hygiene;
mod retries;
#[cfg(not(target_arch = "wasm32"))]
mod runtimes;
#[cfg(not(target_arch = "wasm32"))]
mod schedules;
mod session;
#[cfg(all(feature = "tracing", not(target_arch = "wasm32")))]
mod spans;
mod streams;
#[cfg(not(target_arch = "wasm32"))]
mod threads;
mod tokens;
mod tools;
#[cfg(not(target_arch = "wasm32"))]
mod world;

// `#[test]` on every target: each module takes it from here.
#[cfg(not(target_arch = "wasm32"))]
use std::prelude::v1::test;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
