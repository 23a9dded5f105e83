// The entry of browsers, bundlers, Deno and Bun: the module is fetched from beside this file.
import { clientFactory } from "./client.js";
import { moduleLoader } from "./loader.js";

export { BehestError } from "./error.js";
export { decodeToken, generateSessionId } from "./token.js";
export const createClient = clientFactory(moduleLoader(fetchModule));

/** A load that hangs is given up, so that the next call can try again. */
const LONGEST_LOAD_MS = 30_000;

async function fetchModule() {
  const url = new URL("./dist/behest.wasm", import.meta.url);
  const response = await fetch(url, { signal: AbortSignal.timeout(LONGEST_LOAD_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // A server that answers unknown paths with its start page is the usual cause.
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== "\0asm") {
    throw new Error(`${url} is ${response.headers.get("content-type")}, not WebAssembly`);
  }
  return bytes;
}
