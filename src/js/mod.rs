//! The wasm-bindgen exports behind the npm package.
