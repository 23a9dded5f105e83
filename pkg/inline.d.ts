/**
 * The same as `behest-client`, with the WebAssembly module inside the script: for bundlers that leave `.wasm` files behind
 * (esbuild, Rollup) and for pages of one file. It costs a few kilobytes more, is compiled only once it has arrived whole, and
 * needs no file beside it and no `connect-src` for one. `script-src` must still allow `'wasm-unsafe-eval'`.
 */
export * from "./index.js";
