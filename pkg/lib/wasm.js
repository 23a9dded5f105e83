import { internal, wasmLoadFailed } from "./error.js";

/**
 * Gives a function that resolves to the running module. It is compiled once; a failed load is forgotten, so that the next
 * call tries again; one that trapped is replaced by a fresh one.
 */
function moduleLoader(createGlue, compile) {
  let compiled;
  let running;

  async function start() {
    try {
      compiled ??= compile();
      const glue = createGlue((exports) => exports);
      await glue({ module_or_path: await compiled });
      // A module of something else starts, and has nothing that is asked of it.
      glue.reply();
      return instanceOf(glue, () => (running = undefined));
    } catch (cause) {
      compiled = running = undefined;
      throw wasmLoadFailed(cause);
    }
  }

  return () => (running ??= start());
}

/**
 * Gives the loader of the module that the options `wasmUrl` or `wasmModule` name, one for all clients that name the same; if
 * they name none, that of `compile`.
 */
export function moduleLoaders(createGlue, compile) {
  const byUrl = new Map();
  // What an application made for one client is gone with it.
  const byModule = new WeakMap();
  return ({ wasmUrl, wasmModule }) => {
    const name = wasmModule ?? wasmUrl?.toString();
    const source = name === undefined ? compile : async () => wasmModule ?? fetchModule(name);
    const loaders = wasmModule ? byModule : byUrl;
    if (!loaders.has(name)) loaders.set(name, moduleLoader(createGlue, source));
    return loaders.get(name);
  };
}

/** What runs, and who stands on it. */
function instanceOf(glue, onDeath) {
  const drivers = new Set();
  const instance = {
    glue,
    alive: true,
    drivers,
    pipe: pipeOf(glue),
    /** Calls a function of the module. One that throws is the end of it. */
    ask(name, ...given) {
      try {
        return glue[name](...given);
      } catch (cause) {
        instance.die(cause);
        return "";
      }
    },
    /** Whatever leaves the module as an exception leaves it broken: nothing is asked of it any more, and all are told. */
    die(cause) {
      if (!instance.alive) return;
      instance.alive = false;
      instance.error = internal(cause);
      onDeath();
      for (const driver of drivers) driver.lost(instance.error);
    },
  };
  return instance;
}

/** How the pieces of a stream cross: through one room in the module's memory, and nothing is allocated for them. */
function pipeOf(glue) {
  let size = 0;
  let room;
  return {
    put(bytes) {
      const { length } = bytes;
      if (length > size) room = glue.room((size = length));
      glue.memory().set(bytes, room);
      return length;
    },
    /** What the module made of them. */
    text: (length) => (length > 0 ? glue.text(glue.output(), length) : ""),
  };
}

/** A load that hangs is given up, so that the next call can try again. */
const LONGEST_LOAD_MS = 30_000;

/** Compiles what comes from this URL, while it comes. */
export async function fetchModule(url) {
  // In its absence, an error of its own says so.
  const { compileStreaming, compile } = WebAssembly;
  const response = await fetch(url, { signal: AbortSignal.timeout(LONGEST_LOAD_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const kind = response.headers.get("content-type");
  // With a parameter behind its type, browsers refuse to.
  if (compileStreaming && /^application\/wasm$/i.test(kind)) return compileStreaming.call(WebAssembly, response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  // A server that answers unknown paths with its start page is the usual cause.
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== "\0asm") throw new Error(`${url} is ${kind}, not WebAssembly`);
  return compile.call(WebAssembly, bytes);
}
