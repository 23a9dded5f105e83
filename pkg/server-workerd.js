// The entry of Cloudflare Workers, which compile WebAssembly when they are deployed and never later.
import wasm from "./dist/server.wasm";
import { serverModule } from "./server-core.js";

export { BehestError } from "./lib/error.js";
export const { createTokenEndpoint, withSupabase, createSupabaseContext, verifyWebhook } = serverModule(
  () => wasm,
);
