// The entry of browsers, bundlers, Deno and Bun: the module is fetched from beside this file.
import { clientFactory } from "./lib/client.js";
import { fetchModule, moduleLoader } from "./lib/wasm.js";

export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
export const createClient = clientFactory(moduleLoader(() => fetchModule(new URL("./dist/behest.wasm", import.meta.url))));
