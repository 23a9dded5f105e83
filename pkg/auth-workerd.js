// Sign-in without supabase-js. The entry of Cloudflare Workers, which compile no WebAssembly at run time.
import module from "./dist/auth.wasm";
import { createGlue } from "./dist/auth-glue.js";
import { authClientFactory } from "./lib/auth/client.js";

export { cookieStorage } from "./lib/auth/cookies.js";
export { BehestError } from "./lib/error.js";
export { decodeToken, generateSessionId } from "./lib/token.js";
export const createClient = authClientFactory(createGlue, async () => module);
