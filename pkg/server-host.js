import { words } from "./lib/error.js";

/**
 * What the host does for one instance of the server module: `src/server/edge/host.rs` tells what each function is. What takes
 * time ends in `resume(operation, code, text, bytes)`, and a call of the facade in one of the functions of `calls`.
 */
export function createHost({ resume, calls, policies }) {
  const keys = new Map();
  /** Fetches and timers that may still be given up, by their operation. */
  const running = new Map();
  let lastKey = 0;

  const done = (operation, code, text = "", bytes = NO_BYTES) => {
    running.delete(operation);
    resume(operation, code, text, bytes);
  };

  /** `work` with the imported key. `bytes` lie in the module's memory: they are read before this returns, or copied. */
  function withKey(key, algorithm, usage, work, ...bytes) {
    const { format, data, imported } = keys.get(key);
    const known = imported[algorithm];
    if (known) return work(known, ...bytes);
    const kept = bytes.map((each) => each.slice());
    // Nobody else waits for this: on Workers it would end with the request that began it.
    const importing = crypto.subtle.importKey(format, data, ALGORITHMS[algorithm], false, [usage]);
    return importing.then((made) => work((imported[algorithm] = made), ...kept));
  }

  return {
    now: () => Date.now(),

    randomUuid: () => crypto.randomUUID(),

    log: (level, line) => console[level === "info" ? "log" : level](line),

    url(text) {
      try {
        const { href, protocol, hostname, origin, username, password } = new URL(text);
        // An empty query is one: what is appended would come behind its `?`.
        return [href, protocol.slice(0, -1), hostname, origin, username || password ? 1 : "", /[?#]/.test(href) ? 1 : ""].join("\n");
      } catch {
        return "";
      }
    },

    keepKey(format, bytes, n, e) {
      const data = format === "jwk" ? { kty: "RSA", n, e } : bytes.slice();
      keys.set((lastKey += 1), { format, data, imported: {} });
      return lastKey;
    },

    forgetKey: (key) => keys.delete(key),

    verify(operation, key, algorithm, signature, message) {
      const check = (key, signature, message) => crypto.subtle.verify(ALGORITHMS[algorithm], key, signature, message);
      withKey(key, algorithm, "verify", check, signature, message).then(
        (right) => done(operation, right === true ? 1 : 0),
        () => done(operation, keys.get(key)?.imported[algorithm] ? 0 : 2),
      );
    },

    sign(operation, key, message) {
      const sign = (key, message) => crypto.subtle.sign(RSA, key, message);
      withKey(key, "RS256", "sign", sign, message).then(
        (signature) => done(operation, 1, "", new Uint8Array(signature)),
        () => done(operation, 0),
      );
    },

    fetch(operation, method, url, head, body, deadlineMs, limit) {
      const controller = new AbortController();
      const timer = setTimeout(() => {
        controller.abort();
        done(operation, TIMEOUT);
      }, deadlineMs);
      running.set(operation, () => {
        clearTimeout(timer);
        controller.abort();
      });
      const init = { method, headers: pairs(head), redirect: "manual", signal: controller.signal };
      if (body.length > 0) init.body = body.slice();
      exchange(url, init, limit, controller).then(
        ({ status, wait, bytes }) => {
          clearTimeout(timer);
          if (running.has(operation)) done(operation, status, wait, bytes);
        },
        (error) => {
          clearTimeout(timer);
          if (running.has(operation)) done(operation, error === TOO_LARGE ? TOO_LARGE : FAILED, words(error));
        },
      );
    },

    decide(operation, policy, claims) {
      let decided;
      try {
        decided = policies.get(policy)(JSON.parse(claims));
        if (typeof decided?.then !== "function") return grant(decided);
      } catch (error) {
        decided = Promise.reject(error);
      }
      const settled = (code, text) => running.has(operation) && done(operation, code, text);
      running.set(operation, () => {});
      Promise.resolve(decided).then(grant).then(
        (text) => settled(1, text),
        (error) => settled(0, thrown(error)),
      );
    },

    forgetPolicy: (policy) => policies.delete(policy),

    sleep(operation, millis) {
      const timer = setTimeout(() => done(operation, 0), millis);
      running.set(operation, () => clearTimeout(timer));
    },

    cancel(operation) {
      running.get(operation)?.();
      running.delete(operation);
    },

    ...calls,
  };
}

const NO_BYTES = new Uint8Array();

const RSA = "RSASSA-PKCS1-v1_5";
/** In the words of WebCrypto, for importing a key and for using it. */
const ALGORITHMS = {
  RS256: { name: RSA, hash: "SHA-256" },
  RS384: { name: RSA, hash: "SHA-384" },
  RS512: { name: RSA, hash: "SHA-512" },
  PS256: { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 },
  ES256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  EdDSA: { name: "Ed25519" },
  HS256: { name: "HMAC", hash: "SHA-256" },
};

/** Codes of a fetch that brought no complete answer, as in `src/server/edge/client.rs`. */
const FAILED = 0;
const TIMEOUT = 1;
const TOO_LARGE = 2;

async function exchange(url, init, limit, controller) {
  // Looked up at each call, so that mocks and instrumentation that replace it are used.
  const response = await globalThis.fetch(url, init);
  const bytes = await readBody(response, limit);
  if (!bytes) {
    controller.abort();
    throw TOO_LARGE;
  }
  return { status: response.status, wait: response.headers.get("retry-after") ?? "", bytes };
}

/** The body of a request or a response; nothing if it is larger than `limit`. */
export async function readBody(message, limit) {
  const stated = Number(message.headers.get("content-length") ?? NaN);
  if (stated > limit) return undefined;
  // What was compressed states another length, and what comes in chunks is not held to the one it states. Any other is held to
  // its length by the host, and is read in one go.
  const unbound = message.headers.has("content-encoding") || message.headers.has("transfer-encoding");
  if (unbound || !(stated >= 0)) return readStream(message.body, limit);
  const bytes = new Uint8Array(await message.arrayBuffer());
  return bytes.length <= limit ? bytes : undefined;
}

const PIECE = 8192;

/** How to read on. Deno makes room for 64 KiB each time, which costs as much as the rest of the exchange, unless it is given room. */
function reading(body) {
  try {
    const reader = body.getReader({ mode: "byob" });
    return [reader, () => reader.read(new Uint8Array(PIECE))];
  } catch {
    const reader = body.getReader();
    return [reader, () => reader.read()];
  }
}

async function readStream(body, limit) {
  if (!body) return NO_BYTES;
  const [reader, read] = reading(body);
  const chunks = [];
  let length = 0;
  for (;;) {
    const { done, value } = await read();
    if (done) break;
    if (!(value instanceof Uint8Array)) throw new TypeError("the body is not a stream of bytes");
    length += value.length;
    if (length > limit) {
      reader.cancel().catch(() => {});
      return undefined;
    }
    chunks.push(value);
  }
  if (chunks.length === 1) return chunks[0];
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** `name: value` lines, as headers are told across. */
export const pairs = (head) =>
  head
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    });

const grant = (decided) => {
  if (decided === null || typeof decided !== "object") return '"no object"';
  const { tier, ttlSecs } = decided;
  return JSON.stringify({ tier: told(tier), ttlSecs: told(ttlSecs) });
};

// What is no number there is none here either: JSON would make null of NaN.
const told = (value) => (value === undefined || value === null || Number.isFinite(value) ? value : "?");

const thrown = (error) => {
  const { reason, message = error, retryAfterMs } = Object(error);
  const text = (value) => (typeof value === "string" ? value : undefined);
  return JSON.stringify({ reason: text(reason), message: text(message), retryAfterMs: told(retryAfterMs) });
};
