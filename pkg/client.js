import { CoreHolder } from "./core.js";
import { sessionSource } from "./session.js";
import { ChatStream } from "./stream.js";

/** `createClient` over a way to load the module. Synchronous: the module loads with the first call, or with `warm()`. */
export function clientFactory(load) {
  return function createClient(options) {
    const source = sessionSource(options);
    const settings = { ...options, supabaseUrl: options.supabaseUrl ?? options.supabase?.supabaseUrl };
    const core = new CoreHolder(load, (instance) => instance.createCore(settings, source.getAccessToken));
    const sessionChanged = (accessToken) => core.current?.sessionChanged(accessToken ?? undefined);
    return {
      ...calls(core),
      conversation: (options) => conversation(load, core, options),
      sessionChanged,
      close: source.listen(sessionChanged),
    };
  };
}

/** A client with a session of its own. Its id is kept here, so that it outlives an instance of the module. */
function conversation(load, parent, { sessionId, threadId, budget } = {}) {
  const create = () =>
    parent.run((core) => {
      const own = core.conversation({ sessionId, threadId, budget });
      sessionId = own.sessionId;
      return own;
    });
  return {
    ...calls(new CoreHolder(load, create)),
    get sessionId() {
      return sessionId;
    },
    threadId,
  };
}

function calls(core) {
  async function json(call) {
    const [text, trace] = await core.run(call);
    return text ? withTrace(JSON.parse(text), trace) : undefined;
  }

  async function create(body, options = {}) {
    const text = JSON.stringify({ model: "default", ...body });
    if (!body.stream) return json((core) => core.chat(text, options));
    return core.run(async (core, instance) => {
      const stream = await core.chatStream(text, options);
      return new ChatStream(stream, instance, options.signal);
    });
  }

  const resource = (kind, id, query, options) => json((core) => core.resource(kind, id, query, options));

  return {
    ask: (text, options = {}) => core.run((core) => core.ask(text, options)),
    chat: { completions: { create } },
    threads: {
      list: (options = {}) => resource("threads", "", {}, options),
      get: (id, options = {}) => resource("thread", id, {}, options),
      messages: (id, options = {}) => resource("messages", id, {}, options),
      delete: (id, options = {}) => resource("delete", id, {}, options),
    },
    usage: {
      get({ from, to, granularity } = {}, options = {}) {
        return resource("usage", "", { from: dateText(from), to: dateText(to), granularity }, options);
      },
    },
    models: { list: (options = {}) => resource("models", "", {}, options) },
    warm: () => core.run((core) => core.warm()),
    token: {
      peek() {
        const info = core.current?.peek();
        return info ? { sessionId: info[0], remainingMs: info[1], ttlMs: info[2] } : null;
      },
      invalidate: () => core.current?.invalidate(),
    },
  };
}

const dateText = (date) => (date instanceof Date ? date.toISOString() : date);

/** Not enumerable: the object stays what the gateway sent. */
function withTrace(value, trace) {
  return Object.defineProperties(value, {
    trace: { value: trace },
    sessionId: { value: trace.sessionId },
    traceId: { value: trace.traceId },
  });
}
