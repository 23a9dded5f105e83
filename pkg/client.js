import { CoreHolder } from "./core.js";
import { invalidRequest, requireText } from "./error.js";
import { sessionSource } from "./session.js";
import { ChatStream } from "./stream.js";

/** `createClient` over a way to load the module. Synchronous: the module loads with the first call, or with `warm()`. */
export function clientFactory(load) {
  return function createClient(options) {
    const source = sessionSource(options);
    const settings = { ...options, supabaseUrl: options.supabaseUrl ?? options.supabase?.supabaseUrl };
    const core = new CoreHolder(load, (instance) => instance.createCore(settings, source.getAccessToken));
    const sessionChanged = (accessToken) => {
      core.current?.sessionChanged(accessToken ? requireText("the access token", accessToken) : undefined);
    };
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
  async function json(call, options) {
    const [text, trace] = await core.run(call, options);
    return text ? withTrace(JSON.parse(text), trace) : undefined;
  }

  async function create(body, options) {
    if (!Array.isArray(body?.messages)) throw invalidRequest("the request must have `messages`, an array");
    const text = JSON.stringify({ model: "default", ...body });
    if (!body.stream) return json((core, _, options) => core.chat(text, options), options);
    return core.run(async (core, instance, options) => {
      const stream = await core.chatStream(text, options);
      return new ChatStream(stream, instance, options.signal);
    }, options);
  }

  const resource = async (kind, id, query, options) => {
    requireText("the thread id", id);
    return json((core, _, options) => core.resource(kind, id, query, options), options);
  };

  return {
    async ask(text, options) {
      requireText("the question", text);
      return core.run((core, _, options) => core.ask(text, options), options);
    },
    chat: { completions: { create } },
    threads: {
      list: (options) => resource("threads", "", {}, options),
      get: (id, options) => resource("thread", id, {}, options),
      messages: (id, options) => resource("messages", id, {}, options),
      delete: (id, options) => resource("delete", id, {}, options),
    },
    usage: {
      async get({ from, to, granularity } = {}, options) {
        return resource("usage", "", { from: dateText(from), to: dateText(to), granularity }, options);
      },
    },
    models: { list: (options) => resource("models", "", {}, options) },
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

function dateText(date) {
  if (!(date instanceof Date)) return date;
  if (Number.isNaN(date.getTime())) throw invalidRequest("a date of the usage query is no valid date");
  return date.toISOString();
}

/** Not enumerable, and never in place of a field of the gateway's: the object stays what was sent. */
function withTrace(value, trace) {
  if (typeof value !== "object" || value === null) return value;
  const { sessionId, traceId } = trace;
  for (const [name, known] of Object.entries({ trace, sessionId, traceId })) {
    if (!Object.hasOwn(value, name)) Object.defineProperty(value, name, { value: known });
  }
  return value;
}
