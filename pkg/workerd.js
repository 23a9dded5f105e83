// The entry of Cloudflare Workers, which compile no WebAssembly at run time: the module comes with the worker.
import module from "./dist/behest.wasm";
import { createGlue } from "./dist/glue.js";
import { clientFactory } from "./lib/client.js";
import { moduleLoaders } from "./lib/wasm.js";

export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
export const createClient = clientFactory(moduleLoaders(createGlue, async () => module));
