//! The client's contract. Every test runs natively and, by `wasm-pack test`, in browsers: see `world.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity, unreachable_pub)]

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

#[cfg(target_arch = "wasm32")]
mod browser;
mod budgets;
mod calls;
mod config;
mod errors;
mod retries;
mod session;
mod sse;
mod streams;
mod tokens;
mod world;

/// `#[test]` on every target.
macro_rules! tests {
    ($($(#[$doc:meta])* fn $name:ident() $body:block)*) => {$(
        $(#[$doc])*
        #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test::wasm_bindgen_test)]
        #[cfg_attr(not(target_arch = "wasm32"), test)]
        fn $name() $body
    )*};
}
pub(crate) use tests;
