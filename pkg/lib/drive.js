import { readerOf } from "./body.js";
import { beginEarly } from "./early.js";
import { aborted, BehestError, failure, words } from "./error.js";
import { ChatStream } from "./stream.js";
import { randomBytes } from "./token.js";

/** What the engine is told of, apart from what has a function of its own. */
const SESSION_READ = 0;
const SESSION_FAILED = 1;
const REQUEST_BROKEN = 2;
const ABORT = 3;
const USER = 4;
const WAKE = 5;
const CONVERSE = 6;
const FORGET = 7;
const CLEAR_TOKEN = 8;

/** What a call can be. */
const KINDS = ["ask", "chat", "stream", "warm", "threads", "thread", "messages", "delete", "models", "usage", "raw"];

/** How a request failed: whether it was sent is not known, it was not, or what came was no response. */
const BROKEN = 0;
const UNSENT = 1;
const NO_RESPONSE = 2;

/** Node's words for a connection that never was. (Browsers do not tell.) */
const NEVER_CONNECTED = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;

/** The conversation that every client begins with. */
const MAIN = 1;
/** The longest time that the host's timers take. */
export const LONGEST_TIMER = 2 ** 31 - 1;
/** A timer that is so late says that nothing ran meanwhile; so long may it take until everything has. */
const SLEPT_MS = 1_500;
const AWAKE_MS = 500;
/** The module is given no larger piece at once. */
const LARGEST_PIECE = 1 << 20;

/**
 * Carries out what the engine says: with `fetch`, one timer, and a map from calls to their promises. It decides nothing.
 *
 * `load` gives the running module, `config` is what the engine is told, `source.read` the user's access token.
 */
export function createDriver({ load, config, source, fetch }) {
  let instance;
  let face;
  let timer;
  /** The call that the engine is being told of. */
  let beginning;
  /** What the session source or the token function failed with last. */
  let sessionCause;
  /** What happened while the module was loading, in its order; and what was begun meanwhile. */
  let backlog;
  let early;
  /** What was begun, while the engine may ask for it. */
  let offered;
  /** Calls that the engine is told of at the end of this turn. */
  const entering = [];
  const calls = new Map();
  const requests = new Map();
  // In pages the global is a getter, which takes longer than the clock itself.
  const clock = performance;

  const driver = { start, lost, get ready() { return instance?.alive === true; } };

  /** Runs `then` with the module, at once if it is there. `otherwise` is told why there is none. */
  function whenReady(then, otherwise) {
    if (instance?.alive) return then();
    if (!backlog) {
      backlog = [];
      // After whoever called: under a debugger, a request costs what its stack costs, and a page's own script is long.
      Promise.resolve().then(load).then(begin, failed);
    }
    backlog.push([then, otherwise]);
  }

  function failed(error) {
    const waiting = backlog;
    backlog = undefined;
    takeEarly()?.discard();
    for (const [, otherwise] of waiting) otherwise(error);
  }

  function begin(loaded) {
    instance = loaded;
    face = ask("create", JSON.stringify(config), randomBytes());
    registry.register(driver, { instance, face });
    const waiting = backlog;
    backlog = undefined;
    for (const [then] of waiting) then();
    // Everybody may have left while it was loading.
    takeEarly()?.discard();
  }

  function takeEarly() {
    const taken = early;
    early = undefined;
    return taken;
  }

  const ask = (...given) => instance.ask(...given);

  /** `at`: when it happened, if not now. */
  function tell(event, id = 0, number = 0, text = "", at = undefined) {
    if (!instance.alive) return;
    carryOut(ask("tell", face, at?.wall ?? Date.now(), at?.monotonic ?? clock.now(), event, id, number, text));
  }

  function carryOut(list) {
    if (!list) return;
    // None has more than six.
    for (const [name, a, b, c, d, e, f] of JSON.parse(list)) actions[name](a, b, c, d, e, f);
  }

  const actions = {
    begun(id) {
      beginning.id = id;
      calls.set(id, beginning);
      // As long as something is under way, the driver is told when the module stops.
      instance.drivers.add(driver);
    },
    refuse(fields) {
      beginning.reject(new BehestError(fields));
    },
    conversed(id) {
      beginning.resolve(id);
    },
    readSession(reading) {
      const of = instance;
      const begun = takeEarly();
      const tellOf = (event, text, at) => of === instance && tell(event, reading, 0, text, at);
      const read = (token = "") => {
        if (begun?.sentFor === token) offered = begun;
        if (typeof (token ?? "") === "string") tellOf(SESSION_READ, token ?? "", offered);
        else tellOf(SESSION_FAILED, "`getAccessToken` must give the access token as a string, or null");
        offered = undefined;
        begun?.discard();
      };
      const failed = (thrown) => {
        sessionCause = thrown;
        tellOf(SESSION_FAILED, `the session source threw: ${words(thrown)}`);
        begun?.discard();
      };
      // Not now: whoever calls in the same turn may share this reading.
      queueMicrotask(() => {
        if (of === instance) ask("asked", face, reading);
        (begun ? begun.orNow() : source.read()).then(read, failed);
      });
    },
    send(id, owner, method, url, headers, body) {
      // With this session, nothing else goes there without a body.
      const begun = url === config.functionUrl && body === undefined ? offered : undefined;
      const controller = begun ? begun.controller : new AbortController();
      const request = { id, owner, controller, begun, isOffline: globalThis.navigator?.onLine === false };
      requests.set(id, request);
      let answer;
      if (begun) {
        offered = undefined;
        begun.isTaken = true;
        ({ answer } = begun);
      } else {
        const call = calls.get(owner);
        const { signal } = controller;
        const init = { method, headers, body: body === true ? call.body : body, signal, redirect: "manual" };
        answer = call?.through ? call.through.send((...to) => send(request, ...to), url, init) : send(request, url, init);
      }
      answer.then((response) => answered(request, response), (thrown) => broken(request, thrown));
    },
    pump(id) {
      pump(requests.get(id));
    },
    cancel: cancel,
    open(id, requestId) {
      const call = calls.get(id);
      const source = sourceOf(call, requests.get(requestId));
      if (call.through) return call.through.open(source, call);
      const stream = new ChatStream(source);
      // Should the module stop, this is what is known of the call.
      call.trace = ask("trace", face, id);
      call.stream = new WeakRef(stream);
      // One that nobody holds any more is read by nobody.
      forgotten.register(stream, () => abort(call), call);
      const { resolve } = call;
      // The promise's own functions hold what it was resolved with.
      call.resolve = call.reject = undefined;
      resolve(stream);
    },
    interrupt(id) {
      calls.get(id)?.stream?.deref()?.interrupted();
    },
    ended(id, outcome, trace, error) {
      const call = calls.get(id);
      call?.stream?.deref()?.ended(outcome, trace, error && errorOf(call, error));
    },
    tool(id, piece) {
      calls.get(id)?.stream?.deref()?.toolCall(piece);
    },
    finish(id, finishReason) {
      calls.get(id)?.stream?.deref()?.changed({ finishReason });
    },
    usage(id, usage) {
      calls.get(id)?.stream?.deref()?.changed({ usage });
    },
    settle(id) {
      const call = calls.get(id);
      const trace = call?.kind !== "ask" && ask("trace", face, id);
      const text = ask("reply", face);
      if (!call) return;
      over(call);
      call.resolve([text, trace && JSON.parse(trace)]);
    },
    fail(id, error) {
      const call = calls.get(id);
      if (!call) return;
      over(call);
      call.reject(errorOf(call, error));
    },
    wake(at) {
      clearTimeout(timer);
      if (at === undefined) return;
      const wait = Math.min(Math.max(at - clock.now(), 0), LONGEST_TIMER);
      const wake = () => tell(WAKE);
      // A page that slept is told first of what came meanwhile. In the background all its timers may be late: once is enough.
      timer = setTimeout(() => (clock.now() - at > SLEPT_MS ? (timer = setTimeout(wake, AWAKE_MS)) : wake()), wait);
    },
  };

  /** Prompt and token go where they were addressed to (`redirect: "manual"`), and nowhere else. */
  async function send(request, url, init) {
    // Kept as long as the request: Node's follows its signal only as long as it is reachable itself.
    return fetch ? fetch((request.kept = new Request(url, init))) : globalThis.fetch(url, init);
  }

  const errorOf = (call, fields) => {
    const cause = call.cause ?? (/^(session_failed|network)$/.test(fields.reason) ? sessionCause : undefined);
    return new BehestError(fields, cause === undefined ? {} : { cause });
  };

  /** The stream's way to its bytes, without keeping the stream. */
  const sourceOf = (call, request) => ({
    /** Does the network have to bring what is next? Else the stream has been told why not. */
    more() {
      if (ask("read", face, clock.now(), call.id)) return true;
      if (instance.alive) carryOut(ask("actions", face));
      return false;
    },
    read: () => request.reader.read(),
    took({ done, value }, textOnly) {
      if (!isLive(request)) return "";
      return done ? end(request, textOnly) : bytes(request, value, textOnly);
    },
    broke: (thrown) => broken(request, thrown),
    abort: () => abort(call),
    over: () => over(call),
    trace: () => JSON.parse(ask("trace", face, call.id) || "{}"),
  });

  /** Not given up meanwhile, nor of an engine that is gone. */
  const isLive = (request) => requests.get(request.id) === request;

  function answered(request, response) {
    if (!isLive(request)) return response?.body?.cancel?.().catch?.(() => {});
    let head;
    try {
      const { status, type, headers, body } = response;
      if (typeof status !== "number") throw new TypeError("fetch did not resolve to a Response");
      const header = (name) => {
        const value = headers.get(name);
        return typeof value === "string" ? value : "";
      };
      const retryAfter = status < 400 ? "" : header("retry-after");
      const traceId = header("x-trace-id") || header("x-request-id");
      head = [type === "opaqueredirect" ? 0 : status, header("content-type"), traceId, retryAfter, Date.parse(retryAfter)];
      request.reader = request.begun?.reader ?? readerOf(body);
    } catch (thrown) {
      request.controller.abort();
      return fail(request, NO_RESPONSE, thrown);
    }
    if (instance.alive) carryOut(ask("head", face, Date.now(), clock.now(), request.id, ...head));
  }

  async function pump(request) {
    try {
      while (isLive(request)) {
        const { done, value } = await request.reader.read();
        if (!isLive(request)) return;
        if (done) end(request, false);
        else bytes(request, value, false);
      }
    } catch (thrown) {
      broken(request, thrown);
    }
  }

  function bytes(request, value, textOnly) {
    if (!(value instanceof Uint8Array)) {
      // Bytes of another realm are no less bytes.
      if (ArrayBuffer.isView(value)) return bytes(request, new Uint8Array(value.buffer, value.byteOffset, value.byteLength), textOnly);
      cancelOnWire(request);
      fail(request, NO_RESPONSE, new TypeError("the body is not a stream of bytes"));
      return "";
    }
    if (value.length > LARGEST_PIECE) {
      const rest = value.subarray(LARGEST_PIECE);
      const [text, more] = [bytes(request, value.subarray(0, LARGEST_PIECE), textOnly), bytes(request, rest, textOnly)];
      // Two lists of chunks are one.
      return textOnly || !text || !more ? text + more : `${text.slice(0, -1)},${more.slice(1)}`;
    }
    const { glue, pipe } = instance;
    try {
      return made(glue.bytes(face, clock.now(), request.id, textOnly, pipe.put(value)));
    } catch (cause) {
      instance.die(cause);
      return "";
    }
  }

  function end(request, textOnly) {
    requests.delete(request.id);
    const told = ask("end", face, Date.now(), clock.now(), request.id, textOnly);
    return instance.alive ? made(told) : "";
  }

  /** What the module made of bytes; and carries out what it said about them. */
  function made(told) {
    const text = instance.pipe.text(told >>> 1);
    if (told & 1) carryOut(ask("actions", face));
    return text;
  }

  function broken(request, thrown) {
    let code;
    try {
      const cause = thrown?.cause;
      code = cause?.code ?? thrown?.code;
      // Node keeps the bytes that it could not read, in which a token may be.
      if (cause?.data) cause.data = undefined;
    } catch {
      // Somebody else's object: it says nothing.
    }
    // Offline when it was begun: one that goes offline later may have been sent.
    const unsent = request.isOffline || NEVER_CONNECTED.test(code);
    fail(request, unsent ? UNSENT : BROKEN, thrown);
  }

  function fail(request, how, thrown) {
    if (!isLive(request)) return;
    requests.delete(request.id);
    const call = calls.get(request.owner);
    if (call) call.cause = thrown;
    else sessionCause = thrown;
    tell(REQUEST_BROKEN, request.id, how, words(thrown));
  }

  function cancel(id) {
    const request = requests.get(id);
    requests.delete(id);
    if (request) cancelOnWire(request);
  }

  function cancelOnWire({ controller, reader }) {
    controller.abort();
    // Some bodies do not hear of the signal: those of other implementations, or of a request that was collected.
    reader?.cancel?.().catch?.(() => {});
  }

  function abort(call) {
    if (calls.get(call.id) !== call) return;
    over(call);
    tell(ABORT, call.id);
  }

  /** Nothing more is expected of a call. */
  function over(call) {
    if (calls.get(call.id) === call) calls.delete(call.id);
    call.body = undefined;
    leave(call);
    if (call.stream) forgotten.unregister(call);
    if (calls.size === 0) instance.drivers.delete(driver);
  }

  function leave(call) {
    clearTimeout(call.loading);
    try {
      call.signal?.removeEventListener("abort", call.onAbort);
    } catch {
      // Somebody else's object, which goes on telling: nobody listens.
    }
  }

  /** The module stopped. */
  function lost(error) {
    clearTimeout(timer);
    for (const id of [...requests.keys()]) cancel(id);
    for (const call of [...calls.values()]) {
      const stream = call.stream?.deref();
      over(call);
      if (stream) stream.ended("failed", JSON.parse(call.trace || "{}"), error);
      else call.reject?.(error);
    }
  }

  /** Begins a call of `conversation` and settles as it does: `[text, trace]`, or a stream. */
  function start(conversation, kind, about, body, { signal, timeoutMs, maxRetries }, through) {
    if (signal?.aborted) return Promise.reject(aborted(signal));
    // With its conversation, which is known as long as anybody holds it.
    const call = { kind, body, signal, through, conversation };
    const settled = new Promise((resolve, reject) => {
      call.resolve = resolve;
      call.reject = reject;
    });
    signal?.addEventListener("abort", (call.onAbort = () => interrupt(call)));
    const beginWith = (left) => {
      try {
        const id = conversation.id(driver);
        beginning = call;
        const length = body === undefined ? -1 : body.length;
        carryOut(ask("begin", face, Date.now(), clock.now(), id, KINDS.indexOf(kind), left, length, maxRetries, about));
        if (!instance.alive) giveUp(call, instance.error);
      } catch (error) {
        giveUp(call, error);
      }
    };
    const enter = () => {
      if (call.isOver) return;
      if (driver.ready) return beginWith(timeoutMs);
      // What a source that does not tell of changes has answered may be too old for whoever comes now.
      if (early?.isAsked && !source.reports) early.isOutdated = true;
      if (!backlog) early = beginEarly({ read: source.read, send, config, mints: conversation === driver.main, clock });
      // Until the engine has the call, its time is measured here.
      const began = clock.now();
      if (timeoutMs < LONGEST_TIMER) {
        const message = `the module did not load within ${timeoutMs} ms (timeoutMs)`;
        call.loading = setTimeout(() => giveUp(call, failure("timeout", message)), timeoutMs);
      }
      whenReady(() => {
        clearTimeout(call.loading);
        if (!call.isOver) beginWith(timeoutMs - (clock.now() - began));
      }, (error) => giveUp(call, error));
    };
    // A source that tells of changes may be telling of one right now: this caller first, and this client next.
    if (!source.reports) enter();
    else if (entering.push(enter) === 1) queueMicrotask(driver.enter);
    return settled;
  }

  /** Whoever has called so far did so before what comes now. */
  driver.enter = () => {
    for (const enter of entering.splice(0)) enter();
  };

  /** A call that the engine does not know of (yet, or any more). */
  function giveUp(call, error) {
    call.isOver = true;
    leave(call);
    call.reject?.(error);
  }

  /** The signal of a call was aborted. */
  function interrupt(call) {
    const stream = call.stream?.deref();
    if (stream) return stream.abort();
    if (call.id !== undefined) abort(call);
    giveUp(call, aborted(call.signal));
  }

  /** A conversation of its own in the engine, made anew when the module was replaced. */
  driver.conversation = (options) => {
    let of;
    let id;
    return {
      id() {
        if (of !== instance) {
          of = instance;
          let refused;
          beginning = { resolve: (made) => (id = made), reject: (error) => (refused = error) };
          tell(CONVERSE, 0, 0, JSON.stringify(options));
          if (refused) {
            of = undefined;
            throw refused;
          }
          options.sessionId = ask("sessionId", face, id);
        }
        return id;
      },
      forget() {
        if (id !== undefined && of === instance && instance.alive) tell(FORGET, id);
      },
    };
  };
  driver.main = { id: () => MAIN };
  driver.user = (accessToken) => {
    if (early) early.user = accessToken ?? null;
    // Also while the module is loading: whoever asks before a sign-out asks as the one who leaves.
    if (instance?.alive || backlog) whenReady(() => tell(USER, 0, 0, accessToken ?? ""), () => {});
  };
  driver.peek = (conversation) =>
    driver.ready ? JSON.parse(ask("peek", face, Date.now(), clock.now(), conversation.id()) || "null") : null;
  driver.clearToken = (conversation) => driver.ready && tell(CLEAR_TOKEN, conversation.id());
  return driver;
}

/** Streams that nobody holds any more, and clients. */
const forgotten = new FinalizationRegistry((abort) => abort());
const registry = new FinalizationRegistry(({ instance, face }) => {
  if (instance.alive) instance.glue.close(face);
});
