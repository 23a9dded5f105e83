import { createGlue } from "./dist/server-glue.js";
import { BehestError, internal, toBehestError } from "./lib/error.js";
import { createHost, pairs, readBody } from "./server-host.js";

/** The functions of `behest-client/server`, over a way to get the compiled module. */
export function serverModule(compile) {
  const start = instances(compile);

  /** Something of the module that outlives its instance: `make(instance)` makes it at once, and again after a trap. */
  function holder(make) {
    let instance, made;
    const current = () => {
      const running = start();
      if (instance !== running) {
        made = make(running);
        instance = running;
      }
      return { instance, made };
    };
    current();
    return current;
  }

  function createTokenEndpoint(env, options = {}) {
    const variables = variablesOf(env);
    const current = holder((instance) => {
      const policy = typeof options?.policy === "function" ? instance.addPolicy(options.policy) : 0;
      return instance.make("Endpoint", variables, described(options), policy);
    });
    const refuse = async (request, trouble) => {
      const { instance, made } = current();
      return instance.call("handle", made.id, request.method, headOf(request), NO_BYTES, trouble);
    };
    return async function handle(request) {
      try {
        const { instance, made } = current();
        const head = headOf(request);
        const { bytes, trouble } = await bodyOf(request, made);
        return await instance.call("handle", made.id, request.method, head, bytes, trouble);
      } catch (error) {
        console.error("behest-client: the endpoint failed", error);
        return refuse(request, TROUBLE.stopped).catch(() => new Response(null, { status: 500 }));
      }
    };
  }

  function guard({ env, ...options }) {
    const variables = variablesOf(env);
    const usual = options.cors === false ? { ...options, cors: "disabled" } : options;
    return holder((instance) => instance.make("Guard", variables, described(usual)));
  }

  function withSupabase(options, handler) {
    const current = guard(options);
    async function admit(request) {
      const { instance, made } = current();
      return instance.call("admit", made.id, request.method, headOf(request));
    }
    return async function handle(request, ...rest) {
      const admitted = await admit(request).catch((error) => {
        console.error("behest-client: the guard failed", error);
        const { instance, made } = current();
        return instance.call("refuse", made.id, headOf(request));
      });
      if (admitted instanceof Response) return admitted;
      const response = await handler(request, contextOf(admitted.context), ...rest);
      // That of a WebSocket is the host's own, and no copy of it can be made.
      if (admitted.permit.length === 0 || response.status === 101) return response;
      const permitted = new Response(response.body, response);
      for (const [name, value] of admitted.permit) {
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
    const key = described({ ...options, env: undefined });
    if (!known.has(key)) {
      if (known.size >= MOST_GUARDS) known.clear();
      known.set(key, guard(options));
    }
    return known.get(key);
  }

  async function createSupabaseContext(request, options = {}) {
    try {
      const { instance, made } = guardFor(options)();
      return { data: contextOf(await instance.call("authenticate", made.id, headOf(request))), error: null };
    } catch (error) {
      return { data: null, error: toBehestError(error) };
    }
  }

  async function verifyWebhook(request, options) {
    const instance = start();
    const told = described(options);
    const head = headOf(request, DELIVERY);
    const limits = checked(instance.enter("checkDelivery", told, head));
    const { bytes, trouble } = await bodyOf(request, limits);
    const delivery = await instance.call("verifyDelivery", told, head, bytes, trouble);
    return { ...delivery, body: new TextDecoder().decode(bytes) };
  }

  return { createTokenEndpoint, withSupabase, createSupabaseContext, verifyWebhook };
}

/** Options that hold something of a request would otherwise be kept for ever. */
const MOST_GUARDS = 100;
/** How long the project may take to answer `rest` and `admin`, unless the call has a signal of its own. */
const DATA_DEADLINE_MS = 10_000;
const NO_BYTES = new Uint8Array();
/** What stands in for a body that could not be read, as in `src/server/edge/exports.rs`. */
const TROUBLE = { none: 0, tooLarge: 1, late: 2, broken: 3, stopped: 4, used: 5 };

/** The headers that the module looks at. */
const CALLER = ["authorization", "apikey", "origin", "access-control-request-method"];
const DELIVERY = [
  "stripe-signature",
  "x-hub-signature-256",
  "x-github-delivery",
  "webhook-id",
  "webhook-timestamp",
  "webhook-signature",
];

/** Those of them that a request has, as they are told across. */
function headOf({ headers }, names = CALLER) {
  let head = "";
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null) head += `${name}: ${value}\n`;
  }
  return head;
}

/** A request's body, or what kept it from being read. */
async function bodyOf(request, { maxBody, bodyDeadlineMs }) {
  if (request.bodyUsed) return { bytes: NO_BYTES, trouble: TROUBLE.used };
  if (!request.body) return { bytes: NO_BYTES, trouble: TROUBLE.none };
  const read = readBody(request, maxBody).then(
    (bytes) => (bytes ? { bytes, trouble: TROUBLE.none } : { bytes: NO_BYTES, trouble: TROUBLE.tooLarge }),
    () => ({ bytes: NO_BYTES, trouble: TROUBLE.broken }),
  );
  return within(bodyDeadlineMs, read, { bytes: NO_BYTES, trouble: TROUBLE.late });
}

/** What `promise` settles to, or `otherwise` after a time. Most are settled after a few turns, and need no timer. */
async function within(millis, promise, otherwise) {
  let settled = false;
  promise.then(() => (settled = true));
  for (let turn = 0; turn < 20 && !settled; turn += 1) await undefined;
  if (settled) return promise;
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, millis, otherwise)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** In the words of `@supabase/server`. */
function contextOf({ rest, admin, jwtClaims, ...context }) {
  const userClaims = jwtClaims && {
    id: jwtClaims.sub,
    role: jwtClaims.role,
    email: jwtClaims.email,
    appMetadata: jwtClaims.app_metadata,
    userMetadata: jwtClaims.user_metadata,
  };
  const under = ([base, identity]) =>
    async function send(path, init = {}) {
      const headers = new Headers(init.headers);
      for (const [name, value] of identity) headers.set(name, value);
      // Redirected to another origin, hosts take `authorization` away and nothing else: the key would arrive there.
      return fetch(below(base, path), { signal: AbortSignal.timeout(DATA_DEADLINE_MS), redirect: "manual", ...init, headers });
    };
  return {
    ...context,
    userClaims,
    jwtClaims,
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

/** Some make an endpoint for each request: what nobody has any more, the module need not keep. Older Workers never tell. */
const unused = globalThis.FinalizationRegistry && new FinalizationRegistry((forget) => forget());

// Instantiation is not awaited: on Workers no request may wait for what another one began.
function instantiate(module) {
  const waiting = new Map();
  const policies = new Map();
  let lastCall = 0;
  let lastPolicy = 0;

  const settle = (call, how, value) => {
    waiting.get(call)?.[how](value);
    waiting.delete(call);
  };
  const tell = (name, ...args) => {
    try {
      if (instance.alive) instance.enter(name, ...args);
    } catch (error) {
      // Those who wait have been told.
      console.error("behest-client: the module stopped", error.cause);
    }
  };
  const host = createHost({
    policies,
    resume: (...outcome) => tell("resume", ...outcome),
    calls: {
      answer: (call, status, head, body) =>
        settle(call, "resolve", new Response(body || null, { status, headers: pairs(head) })),
      resolve: (call, value) => settle(call, "resolve", JSON.parse(value)),
      reject: (call, error) => settle(call, "reject", new BehestError(JSON.parse(error))),
    },
  });

  const instance = {
    alive: true,

    /** Calls into the module. Whatever leaves it as an exception leaves it broken: a Rust panic is a trap. */
    enter(name, ...args) {
      if (!instance.alive) throw internal("it stopped before");
      try {
        return glue[name](...args);
      } catch (cause) {
        instance.alive = false;
        for (const { reject } of waiting.values()) reject(internal(cause));
        waiting.clear();
        throw internal(cause);
      }
    },

    /** The same for what ends in one of `calls`. */
    call: (name, ...args) =>
      new Promise((resolve, reject) => {
        lastCall = (lastCall + 1) % 2 ** 32;
        waiting.set(lastCall, { resolve, reject });
        instance.enter(name, lastCall, ...args);
      }),

    /** An endpoint or a guard, which the module keeps for as long as somebody has what is given back. */
    make(kind, variables, ...args) {
      const made = checked(instance.enter(`make${kind}`, variables(instance), ...args), variables);
      const { id } = made;
      unused?.register(made, () => tell(`forget${kind}`, id));
      return made;
    },

    addPolicy(policy) {
      policies.set((lastPolicy += 1), policy);
      return lastPolicy;
    },
  };
  const glue = createGlue((exports) => exports, host);
  glue(module);
  return instance;
}

/** What the module made, or the error that says what to set. */
function checked(json, { refused } = {}) {
  const made = JSON.parse(json);
  if (made.reason) throw new BehestError(made, { cause: refused });
  return made;
}

/** Options as the module reads them: `[name, type, value]` for each that is neither undefined nor null. */
function described(options) {
  if (typeof options !== "object" || options === null || Array.isArray(options)) return "null";
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  return JSON.stringify(given.map(([name, value]) => [name, Array.isArray(value) ? "list" : typeof value, ...plain(value)]));
}

const plain = (value) => {
  if (typeof value === "function") return [`${value}`];
  return typeof value === "bigint" || typeof value === "symbol" ? [] : [value];
};

/** A function that gives the variables the module looks at, as JSON. */
function variablesOf(env) {
  const read = env ? (name) => env[name] : environment();
  function variables(instance) {
    const found = {};
    for (const name of instance.enter("variableNames").split(" ")) {
      try {
        const value = read(name);
        if (typeof value === "string") found[name] = value;
      } catch (error) {
        // Deno without permission to read the environment.
        variables.refused ??= error;
      }
    }
    return JSON.stringify(found);
  }
  return variables;
}

/** The variables of this process, where there is one. */
function environment() {
  const { Deno, process } = globalThis;
  if (Deno?.env) return (name) => Deno.env.get(name);
  if (process?.env) return (name) => process.env[name];
  return () => undefined;
}
