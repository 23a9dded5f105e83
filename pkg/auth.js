// Sign-in without supabase-js. The entry of browsers, bundlers, Deno and Bun: the module is fetched from beside this file.
import { createGlue } from "./dist/auth-glue.js";
import { authClientFactory } from "./lib/auth/client.js";
import { fetchModule } from "./lib/wasm.js";

export { cookieStorage } from "./lib/auth/cookies.js";
export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
const compile = () => fetchModule(new URL("./dist/auth.wasm", import.meta.url));
export const createClient = authClientFactory(createGlue, compile);
