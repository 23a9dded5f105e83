// The entry of Node.js, whose fetch reads no files.
import { readFile } from "node:fs/promises";

import { clientFactory } from "./lib/client.js";
import { moduleLoader } from "./lib/wasm.js";

export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
const read = async () => WebAssembly.compile(await readFile(new URL("./dist/behest.wasm", import.meta.url)));
export const createClient = clientFactory(moduleLoader(read));
