import { createGlue } from "./dist/server-glue.js";
import { BehestError, internal } from "./error.js";

/** The functions of `behest-client/server`, over a way to get the compiled module. */
export function serverModule(compile) {
  const start = instances(compile);

  /**
   * An object of the module that outlives its instance: `create(glue)` makes it at once, and again after a trap.
   * `use(object)` must give a promise.
   */
  function holder(create) {
    let instance, object;
    const current = () => {
      const running = start();
      if (instance !== running) {
        object = create(running.glue);
        instance = running;
      }
      return { instance, object };
    };
    current();
    return (use) => {
      const { instance, object } = current();
      return instance.settle(use(object));
    };
  }

  function createTokenEndpoint(env, options = {}) {
    const endpoint = holder((glue) => configured(env, (lookup) => new glue.Endpoint(lookup, options)));
    return async function handle(request) {
      try {
        return await endpoint((object) => object.handle(request));
      } catch (error) {
        console.error("behest-client: the endpoint failed", error);
        return endpoint((object) => object.fail(request)).catch(() => new Response(null, { status: 500 }));
      }
    };
  }

  return { createTokenEndpoint };
}

/** Gives the running instance, made when it is first needed and again after the one before has trapped. */
function instances(compile) {
  let module, running;
  return () => {
    if (!running?.alive) running = instantiate((module ??= compile()));
    return running;
  };
}

// Instantiation is not awaited: on Workers no request may wait for what another one began.
function instantiate(module) {
  const waiting = new Set();
  const instance = {
    alive: true,
    /** Settles as `promise` does, or rejects when the instance dies. */
    settle: (promise) =>
      new Promise((resolve, reject) => {
        waiting.add(reject);
        promise.then(resolve, reject).finally(() => waiting.delete(reject));
      }),
  };
  // Whatever leaves the module as an exception leaves it broken: a Rust panic is a trap.
  const guarded =
    (call) =>
    (...args) => {
      if (!instance.alive) throw internal("it stopped before");
      try {
        return call(...args);
      } catch (error) {
        instance.alive = false;
        for (const reject of waiting) reject(internal(error));
        waiting.clear();
        throw error;
      }
    };
  const guard = (exports) =>
    Object.fromEntries(
      Object.entries(exports).map(([name, value]) => [name, typeof value === "function" ? guarded(value) : value]),
    );
  instance.glue = createGlue(guard);
  instance.glue(module);
  return instance;
}

/** Calls `create(lookup)` and turns what it throws into an error that says what to set. */
function configured(env, create) {
  const read = env ? (name) => env[name] : environment();
  let refused;
  const lookup = (name) => {
    try {
      const value = read(name);
      return typeof value === "string" ? value : undefined;
    } catch (error) {
      // Deno without permission to read the environment.
      refused ??= error;
    }
  };
  try {
    return create(lookup);
  } catch (thrown) {
    throw thrown?.reason ? new BehestError(thrown, { cause: refused }) : thrown;
  }
}

/** The variables of this process, where there is one. */
function environment() {
  const { Deno, process } = globalThis;
  if (Deno?.env) return (name) => Deno.env.get(name);
  if (process?.env) return (name) => process.env[name];
  return () => undefined;
}
