// The entry of browsers, bundlers, Deno and Bun: the module is fetched from beside this file.
import { createGlue } from "./dist/glue.js";
import { clientFactory } from "./lib/client.js";
import { fetchModule, moduleLoaders } from "./lib/wasm.js";

export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
const compile = () => fetchModule(new URL("./dist/behest.wasm", import.meta.url));
export const createClient = clientFactory(moduleLoaders(createGlue, compile));
