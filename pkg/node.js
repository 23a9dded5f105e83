// The entry of Node.js, whose fetch reads no files.
import { readFile } from "node:fs/promises";

import { createGlue } from "./dist/glue.js";
import { clientFactory } from "./lib/client.js";
import { moduleLoaders } from "./lib/wasm.js";

export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
const compile = async () => WebAssembly.compile(await readFile(new URL("./dist/behest.wasm", import.meta.url)));
export const createClient = clientFactory(moduleLoaders(createGlue, compile));
