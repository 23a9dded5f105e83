import { createGlue } from "./dist/server-glue.js";
import { BehestError, internal, toBehestError } from "./lib/error.js";

/** The functions of `behest-client/server`, over a way to get the compiled module. */
export function serverModule(compile) {
  const start = instances(compile);

  /** An object of the module that outlives its instance: `create(glue)` makes it at once, and again after a trap. */
  function holder(create) {
    let instance, object;
    const current = () => {
      const running = start();
      if (instance !== running) {
        object = running.call(() => create(running.glue));
        instance = running;
      }
      return { instance, object };
    };
    current();
    return async (use) => {
      const { instance, object } = current();
      return await instance.settle(Promise.resolve(instance.call(() => use(object))));
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

  const guard = ({ env, ...options }) => holder((glue) => configured(env, (lookup) => new glue.Guard(lookup, options)));

  function withSupabase(options, handler) {
    const ask = guard(options);
    return async function handle(request, ...rest) {
      const preflight = await ask((guard) => guard.preflight(request));
      if (preflight) return preflight;
      let context;
      try {
        context = withData(await ask((guard) => guard.authenticate(request)));
      } catch (error) {
        return ask((guard) => guard.refuse(request, error));
      }
      const response = await handler(request, context, ...rest);
      const permitted = new Response(response.body, response);
      for (const [name, value] of await ask((guard) => guard.permit(request))) {
        if (name === "vary") permitted.headers.append(name, value);
        else permitted.headers.set(name, value);
      }
      return permitted;
    };
  }

  /** By the variables and by what the options say: written into a call, the object of options is a new one each time. */
  const guards = new WeakMap();

  function guardFor(options) {
    const env = options.env ?? guards;
    if (!guards.has(env)) guards.set(env, new Map());
    const known = guards.get(env);
    const key = JSON.stringify({ ...options, env: undefined }, (_, value) => (typeof value === "function" ? `${value}` : value));
    if (!known.has(key)) {
      if (known.size >= MOST_GUARDS) known.clear();
      known.set(key, guard(options));
    }
    return known.get(key);
  }

  async function createSupabaseContext(request, options = {}) {
    try {
      const caller = await guardFor(options)((guard) => guard.authenticate(request));
      return { data: withData(caller), error: null };
    } catch (error) {
      return { data: null, error: toBehestError(error) };
    }
  }

  async function verifyWebhook(request, options) {
    const instance = start();
    try {
      const verified = instance.call(() => instance.glue.Deliveries.verify(request, options));
      const { body, ...delivery } = await instance.settle(verified);
      return { ...delivery, body: new TextDecoder().decode(body) };
    } catch (error) {
      throw toBehestError(error);
    }
  }

  return { createTokenEndpoint, withSupabase, createSupabaseContext, verifyWebhook };
}

/** Options that hold something of a request would otherwise be kept for ever. */
const MOST_GUARDS = 100;
/** How long the project may take to answer `rest` and `admin`, unless the call has a signal of its own. */
const DATA_DEADLINE_MS = 10_000;

/** Makes functions of address and headers: `rest(path, init)` and, with a secret key, `admin(path, init)`. */
function withData({ rest, admin, ...context }) {
  const under = ([base, identity]) =>
    async function send(path, init = {}) {
      const headers = new Headers(init.headers);
      for (const [name, value] of identity) headers.set(name, value);
      return fetch(below(base, path), { signal: AbortSignal.timeout(DATA_DEADLINE_MS), ...init, headers });
    };
  return {
    ...context,
    rest: under(rest),
    admin: (path, init) => {
      if (!admin) throw new BehestError(NO_SECRET_KEY);
      return under(admin)(path, init);
    },
  };
}

/** The address at `path`, which must not leave the one it is below: `..` in an id would reach the rest of the project. */
function below(base, path) {
  const root = new URL(`${base.replace(/\/$/, "")}/`);
  const address = new URL(`${root.href}${path.replace(/^\//, "")}`);
  if (address.origin === root.origin && address.pathname.startsWith(root.pathname)) return address.href;
  throw new BehestError({
    reason: "invalid_request",
    action: "fix_config",
    message: "The path leaves rest/v1",
    hint: "Encode what comes from elsewhere with encodeURIComponent.",
  });
}

const NO_SECRET_KEY = {
  reason: "misconfigured",
  action: "fix_config",
  message: "There is no secret key",
  hint: "Set SUPABASE_SECRET_KEYS.",
};

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
  let called = 0;
  const instance = {
    alive: true,
    /** Calls into the module: the one place where what it throws has a caller. */
    call(use) {
      called += 1;
      try {
        return use();
      } finally {
        called -= 1;
      }
    },
    /** Settles as `promise` does, or rejects when the instance dies. */
    settle: (promise) =>
      new Promise((resolve, reject) => {
        waiting.add(reject);
        promise.then(resolve, reject).finally(() => waiting.delete(reject));
      }),
  };
  // Whatever leaves the module as an exception leaves it broken: a Rust panic is a trap. It may happen in a microtask, where
  // nobody catches it and hosts would end the whole process: then those who wait are told, and the log.
  const stop = (cause) => {
    if (!called) console.error("behest-client: the module stopped", cause);
    instance.alive = false;
    for (const reject of waiting) reject(internal(cause));
    waiting.clear();
  };
  const guarded =
    (call) =>
    (...args) => {
      try {
        if (instance.alive) return call(...args);
      } catch (error) {
        stop(error);
        if (called) throw error;
      }
      if (called) throw internal("it stopped before");
      return NO_RESULT;
    };
  const guard = (exports) =>
    Object.fromEntries(
      Object.entries(exports).map(([name, value]) => [name, typeof value === "function" ? guarded(value) : value]),
    );
  instance.glue = createGlue(guard);
  instance.glue(module);
  return instance;
}

/** What the glue takes for "no value and no error" from the functions that the host's promises call. */
const NO_RESULT = Object.freeze([0, 0]);

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
