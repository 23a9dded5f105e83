// The entry for one file: the module is inside the script, and nothing is fetched for it.
import compile from "./dist/behest-bytes.js";
import { createGlue } from "./dist/glue.js";
import { clientFactory } from "./lib/client.js";
import { moduleLoaders } from "./lib/wasm.js";

export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
export const createClient = clientFactory(moduleLoaders(createGlue, compile));
