import { createDriver } from "./drive.js";
import { failure, invalidConfig, invalidRequest, requireText, words } from "./error.js";
import { callOptions, conversationOptions, engineConfig } from "./options.js";
import { sessionSource } from "./session.js";

/**
 * `createClient` over what gives the loader of the module that its options name. Synchronous: the module loads with the first
 * call, or with `warm()`.
 */
export function clientFactory(loaderOf) {
  return function createClient(options) {
    const config = engineConfig(options);
    const source = sessionSource(options);
    if (source.reports) config.sourceReports = 1;
    const driver = createDriver({ load: loaderOf(options), config, source, fetch: options.fetch });
    const tell = (accessToken) => driver.user(accessToken ? requireText("the access token", accessToken) : undefined);
    return {
      ...calls(driver, driver.main, config),
      conversation: (options) => conversation(driver, config, options),
      sessionChanged(accessToken) {
        driver.enter();
        tell(accessToken);
      },
      close: source.listen(tell),
    };
  };
}

/** A client with a session of its own. Its id is kept here, so that it outlives an instance of the module. */
function conversation(driver, config, options) {
  let own = {};
  let engines;
  try {
    if (options === null) throw invalidConfig("the options of a conversation must be an object");
    own = conversationOptions(options ?? {});
    engines = driver.conversation(own);
  } catch (error) {
    engines = {
      id() {
        throw error;
      },
    };
  }
  if (engines.forget) unused.register(engines, engines.forget);
  return {
    ...calls(driver, engines, config),
    get sessionId() {
      return own.sessionId;
    },
    threadId: own.threadId,
  };
}

/** Conversations of which nobody holds anything any more: each of their functions is enough. */
const unused = new FinalizationRegistry((forget) => forget());

function calls(driver, conversation, config) {
  const start = (kind, about, body, options, through) =>
    driver.start(conversation, kind, about, body, callOptions(options, config), through);

  async function json(kind, about, body, options) {
    const [text, trace] = await start(kind, about, body, options);
    return text ? withTrace(JSON.parse(text), trace) : undefined;
  }

  async function create(body, options) {
    if (!Array.isArray(body?.messages)) throw invalidRequest("the request must have `messages`, an array");
    const text = stringify({ ...body, model: body.model ?? "default" });
    return body.stream ? start("stream", "", text, options) : json("chat", "", text, options);
  }

  /** What a page that does not use it does not download. */
  const lazy = (load) => async (...given) => {
    const part = await load().catch((cause) => {
      // Some browsers remember it until then.
      throw failure("network", `a script did not load, reload the page: ${words(cause)}`, cause);
    });
    return part.default(start, config, driver, conversation, ...given);
  };

  const resource = async (kind, id, options) => json(kind, requireText("the thread id", id), undefined, options);

  return {
    async ask(text, options) {
      const messages = [{ role: "user", content: requireText("the question", text) }];
      return (await start("ask", "", stringify({ model: "default", messages }), options))[0];
    },
    chat: { completions: { create } },
    threads: {
      list: (options) => resource("threads", "", options),
      get: (id, options) => resource("thread", id, options),
      messages: (id, options) => resource("messages", id, options),
      delete: (id, options) => resource("delete", id, options),
    },
    usage: {
      async get(query, options) {
        const { from, to, granularity } = query ?? {};
        const wanted = { from: dateText(from), to: dateText(to), granularity };
        for (const [name, value] of Object.entries(wanted)) {
          if (value !== undefined && (typeof value !== "string" || value.includes("\n"))) {
            throw invalidConfig(`the option ${name} must be a string of one line`);
          }
        }
        return json("usage", Object.values(wanted).join("\n"), undefined, options);
      },
    },
    models: { list: (options) => resource("models", "", options) },
    openaiBaseUrl: `${config.gatewayUrl}/v1`,
    fetch: lazy(() => import("./lazy/fetch.js")),
    doctor: lazy(() => import("./lazy/doctor.js")),
    async warm() {
      await start("warm", "");
    },
    token: {
      peek: () => driver.peek(conversation),
      invalidate: () => void driver.clearToken(conversation),
    },
  };
}

function stringify(body) {
  try {
    return JSON.stringify(body);
  } catch (cause) {
    throw invalidRequest("the request is not representable as JSON", cause);
  }
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
