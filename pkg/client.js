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
    const close = source.listen(sessionChanged);
    return {
      ...calls(core),
      sessionChanged,
      close,
      conversation: (options) => conversation(load, core, options),
    };
  };
}

/** A client with a session of its own. Its id is kept here, so that it outlives an instance of the module. */
function conversation(load, parent, { sessionId, threadId } = {}) {
  const create = () =>
    parent.run(async (core) => {
      const own = core.conversation(sessionId, threadId);
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
  const json = async (call) => {
    const [text, sessionId, traceId] = await core.run(call);
    // Not enumerable: the object stays what the gateway sent.
    return Object.defineProperties(JSON.parse(text), { sessionId: { value: sessionId }, traceId: { value: traceId } });
  };

  async function create(body, { signal } = {}) {
    const text = JSON.stringify({ model: "default", ...body });
    if (!body.stream) return json((core) => core.chat(text, signal));
    return core.run(async (core, instance) => new ChatStream(await core.chatStream(text, signal), instance, signal));
  }

  return {
    chat: { completions: { create } },
    ask: (text, { signal } = {}) => core.run((core) => core.ask(text, signal)),
    usage: { get: ({ signal } = {}) => json((core) => core.usage(signal)) },
    models: { list: ({ signal } = {}) => json((core) => core.models(signal)) },
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
