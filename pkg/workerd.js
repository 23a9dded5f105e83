// The entry of Cloudflare Workers, which compile no WebAssembly at run time: the module comes with the worker.
import module from "./dist/behest.wasm";

import { clientFactory } from "./lib/client.js";
import { moduleLoader } from "./lib/wasm.js";

export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
export const createClient = clientFactory(moduleLoader(async () => module));
