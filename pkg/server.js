// The entry of Deno, Node.js, Bun and every other host that compiles WebAssembly itself.
import bytes from "./dist/server-bytes.js";
import { serverModule } from "./server-core.js";

export { BehestError } from "./lib/error.js";
export const { createTokenEndpoint, withSupabase, createSupabaseContext, verifyWebhook } = serverModule(
  () => new WebAssembly.Module(bytes),
);
