// Sign-in without supabase-js. The entry of Node.js, whose fetch reads no files.
import { readFile } from "node:fs/promises";

import { createGlue } from "./dist/auth-glue.js";
import { authClientFactory } from "./lib/auth/client.js";

export { cookieStorage } from "./lib/auth/cookies.js";
export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
const compile = async () => WebAssembly.compile(await readFile(new URL("./dist/auth.wasm", import.meta.url)));
export const createClient = authClientFactory(createGlue, compile);
