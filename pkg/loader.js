import { createGlue } from "./dist/glue.js";
import { internal, wasmLoadFailed } from "./error.js";

/**
 * Gives a function that resolves to the running instance. The module is compiled once; a failed load is forgotten, so
 * that the next call tries again; an instance that trapped is replaced by a fresh one.
 */
export function moduleLoader(readBytes) {
  let compiled;
  let running;

  async function start() {
    try {
      compiled ??= readBytes().then((bytes) => WebAssembly.compile(bytes));
      return await instantiate(await compiled, () => (running = undefined));
    } catch (error) {
      compiled = running = undefined;
      throw wasmLoadFailed(error);
    }
  }

  return () => (running ??= start());
}

/** What the glue takes for "no value and no exception". */
const NOTHING = [];

/** One instance, and every call that waits for it. */
async function instantiate(module, onDeath) {
  const waiting = new Set();
  let glue;
  const instance = {
    alive: true,
    /** Settles as `promise` does, or rejects when the instance dies. */
    settle(promise) {
      return new Promise((resolve, reject) => {
        if (!instance.alive) return reject(internal("it stopped before this call"));
        waiting.add(reject);
        promise.then(resolve, reject).finally(() => waiting.delete(reject));
      });
    },
    createCore: (options, getAccessToken) => new glue.Core(options, getAccessToken),
  };

  function die(cause) {
    instance.alive = false;
    onDeath();
    for (const reject of waiting) reject(internal(cause));
    waiting.clear();
  }

  // Whatever leaves the module as an exception leaves it broken: a Rust panic is a trap, and it mostly happens in a
  // microtask or timer, where no caller sees it and the promise they wait for would never settle. All who wait are told
  // here, so nothing is thrown on; and what timers and finalizers still ask of a dead instance is not done.
  const guard = (exports) =>
    Object.fromEntries(
      Object.entries(exports).map(([name, value]) => [name, typeof value === "function" ? guarded(value) : value]),
    );

  const guarded =
    (call) =>
    (...args) => {
      if (!instance.alive) return NOTHING;
      try {
        return call(...args);
      } catch (error) {
        die(error);
        return NOTHING;
      }
    };

  glue = createGlue(guard);
  await glue({ module_or_path: module });
  return instance;
}
