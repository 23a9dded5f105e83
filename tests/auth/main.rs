//! Sign-in and the session in between. Every test runs natively and, by `wasm-pack test`, in browsers.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

mod client;
#[cfg(target_arch = "wasm32")]
mod page;
mod renewal;
mod server;
mod sign_in;
mod tabs;
#[cfg(not(target_arch = "wasm32"))]
mod threads;

// `#[test]` on every target: each module takes it from here.
#[cfg(not(target_arch = "wasm32"))]
use std::prelude::v1::test;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
