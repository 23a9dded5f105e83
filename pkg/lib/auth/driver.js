import { BehestError, words } from "../error.js";
import { storages } from "./host.js";

/** What was waited for, where it was no answer with a status. */
const BROKEN = 0;
const LATE = 1;
const DONE = 2;

/** As long as supabase-js waits for its server. */
const LONGEST_MS = 8_000;

/** The number of the latest project. */
let last = 0;

/**
 * Carries out what the module says of sign-in: with `fetch`, timers, the page's locks and its channel. It decides nothing.
 *
 * `load` gives the running module; `config` is what that is told; `isShared` says whether the page's
 * other tabs have the session, too. `told` hears of every change: an event and the session.
 */
export function authDriver({ load, config, isShared, storage, fetch, told }) {
  const face = (last += 1);
  storages.set(face, storage);
  let instance;
  let channel;
  let unlock;
  let lastCall = 0;
  let isListening = isShared;
  const calls = new Map();
  /** How to give up what is under way, by the number of its call. */
  const pending = new Map();

  /** The running module, which knows this project. */
  async function ready() {
    const loaded = await load();
    if (instance !== loaded) {
      leave();
      instance = loaded;
      registry.register(driver, { instance, face }, driver);
      ask("authOpen", face, config.url, config.key, config.storageKey);
      if (isListening) listen();
    }
    return loaded;
  }

  const ask = (...given) => instance.ask(...given);

  const tell = (name, ...given) => carryOut(ask(name, face, Date.now(), performance.now(), ...given));

  function carryOut(list) {
    if (list) for (const [name, ...given] of JSON.parse(list)) actions[name](...given);
  }

  /** What a call waited for has come, unless it was given up. */
  function came(id, status = DONE, text = "", traceId = "", retryAfter = "") {
    if (pending.delete(id)) tell("authCame", id, status, text, traceId, retryAfter, Date.parse(retryAfter));
  }

  const look = () => carryOut(ask("authLook", face));

  /** Other tabs tell of changes. */
  function listen() {
    try {
      channel = new BroadcastChannel(config.storageKey);
      channel.onmessage = look;
    } catch {
      // Without one, the storage's own event tells.
    }
    addEventListener("storage", look);
  }

  const actions = {
    tell: (event, session = null) => channel?.postMessage({ event, session }),
    told,
    done: (id, value) => settle(id, "resolve", value),
    fail: (id, fields) => settle(id, "reject", new BehestError(fields)),
    unlock: () => unlock?.(),
    sleep(id, time) {
      const timer = setTimeout(() => came(id), time);
      pending.set(id, () => clearTimeout(timer));
    },
    async send(id, _, method, url, headers, body) {
      const controller = new AbortController();
      const { signal } = controller;
      const timer = setTimeout(() => {
        came(id, LATE);
        controller.abort();
      }, LONGEST_MS);
      pending.set(id, () => controller.abort());
      try {
        const init = { method, headers, body, signal, redirect: "manual" };
        const response = await (fetch ? fetch(new Request(url, init)) : globalThis.fetch(url, init));
        // Somebody else's `fetch` may give anything, and of a redirect pages see no status; the module takes strings.
        if (!(response.status > 99)) throw "no status";
        const header = (name) => `${response.headers.get(name) ?? ""}`;
        const traceId = header("x-trace-id") || header("x-request-id");
        came(id, response.status, `${await response.text()}`, traceId, header("retry-after"));
      } catch (thrown) {
        came(id, BROKEN, words(thrown));
      } finally {
        clearTimeout(timer);
      }
    },
    /** Where there are no locks, or none is to be had in time, it goes on without one. */
    async lock(id, time) {
      const controller = new AbortController();
      const { signal } = controller;
      const timer = setTimeout(() => controller.abort(), time);
      pending.set(id, () => controller.abort());
      try {
        if (!isShared) return came(id);
        await navigator.locks.request(`lock:${config.storageKey}`, { signal }, () => {
          clearTimeout(timer);
          return new Promise((free) => {
            unlock = free;
            came(id);
          });
        });
      } catch {
        came(id);
      } finally {
        clearTimeout(timer);
      }
    },
  };

  function settle(id, how, value) {
    const call = calls.get(id);
    calls.delete(id);
    if (calls.size === 0) instance?.drivers.delete(driver);
    call?.[how](value);
  }

  const driver = {
    /** A call of this kind, with what it needs to know. `then` is called before whatever happens next. */
    async call(kind, given, then = (value) => value) {
      const json = JSON.stringify(given ?? {});
      const running = await ready();
      if (!running.alive) throw running.error;
      return new Promise((resolve, reject) => {
        calls.set((lastCall += 1), { resolve: (value) => resolve(then(value)), reject });
        // As long as something is under way, it is told when the module stops.
        instance.drivers.add(driver);
        tell("authCall", lastCall, kind, json);
      });
    },
    /** The module stopped. */
    lost(error) {
      leave();
      for (const id of [...calls.keys()]) settle(id, "reject", error);
    },
    /** Listens to no other tab any more. What has begun is ended: a renewal must not lose its answer. */
    close() {
      isListening = false;
      deafen();
    },
  };

  function leave() {
    for (const giveUp of pending.values()) giveUp();
    pending.clear();
    unlock?.();
    registry.unregister(driver);
    instance = undefined;
    deafen();
  }

  function deafen() {
    if (!isShared) return;
    channel = channel?.close();
    removeEventListener("storage", look);
  }

  return driver;
}

/** Projects that nobody holds any more. */
const registry = new FinalizationRegistry(({ instance, face }) => {
  if (instance.alive) instance.glue.authClose(face);
  storages.delete(face);
});
