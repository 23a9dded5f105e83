// The entry of Node.js, whose fetch reads no files.
import { readFile } from "node:fs/promises";

import { clientFactory } from "./client.js";
import { moduleLoader } from "./loader.js";

export { BehestError } from "./error.js";
export { decodeToken, generateSessionId } from "./token.js";
export const createClient = clientFactory(moduleLoader(() => readFile(new URL("./dist/behest.wasm", import.meta.url))));
