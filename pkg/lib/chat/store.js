import { BehestError, failure, invalidConfig, words } from "../error.js";
import { generateSessionId } from "../token.js";
import { framed } from "./frames.js";
import { jsonOf, jsonSchemaOf, validated } from "./schema.js";
import { answerable, answers, definitions, withAnswers } from "./tools.js";

const MOST_ROUNDS = 8;

/** What the store keeps beside OpenAI's fields, and the model is not sent. */
const toModel = ({ id, info, ...message }) => message;

const trimmed = (content) => (typeof content === "string" ? content.trim() : content);
const identified = (message) => (message.id ? message : { ...message, id: generateSessionId() });

/** Calls the application. What it throws is its own: it is told where uncaught errors are, and no turn fails by it. */
function theirs(callback, given) {
  try {
    callback?.(given);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}

const isEmpty = ({ content, tool_calls }) => !content && !tool_calls;

/**
 * One conversation: its messages and what is being done about them. `subscribe` tells of each change, at most once a frame
 * while an answer streams in; `getSnapshot` is the state as it was told last, and never changes afterwards.
 */
export function chatStore(behest, options = {}) {
  if (typeof behest?.conversation !== "function")
    throw invalidConfig("`chatStore` needs a client: `chatStore(createClient(…))`");
  let settings = options;
  let state = {
    messages: (options.messages ?? []).map(identified),
    status: "ready",
    outcome: null,
    error: null,
    loading: false,
  };
  let snapshot = state;
  let threadId = options.threadId;
  /** The gateway's session, made with the first call: the conversation belongs to whoever makes it. */
  let conversation;
  /** The turn under way. */
  let turn;
  /** How often it was stopped: what waits for its turn is void after the next time. */
  let stops = 0;
  /** The thread's messages, while they are fetched, and the reading that is waited for. */
  let hydration;
  let reading;
  /** What the gateway's thread holds already. */
  const stored = new Set();
  let isHydrated = state.messages.length > 0;
  const listeners = new Set();
  const frames = framed(() => {
    snapshot = state;
    for (const listener of listeners) theirs(listener, snapshot);
  });

  /** Changes that matter at once; text can wait for the next frame. */
  function change(changes) {
    state = { ...state, ...changes };
    frames.now();
  }

  const calls = () =>
    (conversation ??= behest.conversation({ sessionId: settings.sessionId, threadId, budget: settings.budget }));

  /** With a thread the gateway knows what came before. */
  function request(schema) {
    const all =
      threadId && !settings.resendHistory
        ? state.messages.filter(({ id, role }) => role === "system" || !stored.has(id))
        : state.messages;
    const { model, system, body, tools } = settings;
    const messages = withAnswers(all.map(toModel));
    const defined = definitions(tools);
    return {
      model,
      ...(defined.length > 0 && { tools: defined }),
      ...(schema && {
        response_format: { type: "json_schema", json_schema: { name: "answer", schema: jsonSchemaOf(schema) } },
      }),
      stream_options: { include_usage: true },
      ...body,
      messages: system ? [{ role: "system", content: system }, ...messages] : messages,
      stream: true,
    };
  }

  /** Puts a message in the place of the one with its id, or at the end. An answer without anything in it leaves no trace. */
  function place(message) {
    const known = state.messages.findIndex(({ id }) => id === message.id);
    const at = known < 0 ? state.messages.length : known;
    state = { ...state, messages: [...upTo(at), ...(isEmpty(message) ? [] : [message]), ...state.messages.slice(at + 1)] };
  }

  /** The answer so far, as far as there is one. */
  function note({ message, stream }) {
    if (!stream) return;
    const { content, toolCalls, outcome, finishReason, usage, traceId } = stream;
    const called = toolCalls.length > 0 && { tool_calls: structuredClone(toolCalls) };
    place({
      ...message,
      content: content || (called ? null : ""),
      ...called,
      info: { outcome, finishReason, usage, traceId },
    });
  }

  async function answer(current, schema) {
    // Listeners may have stopped it.
    if (current !== turn) return;
    current.message = { id: generateSessionId(), role: "assistant", content: "" };
    current.stream = undefined;
    change({ status: "submitted" });
    const stream = await calls().chat.completions.create(request(schema), { signal: current.controller.signal });
    if (current !== turn) return stream.abort();
    current.stream = stream;
    current.unsent = [];
    for await (const text of stream.text()) {
      if (current !== turn) return;
      if (!text) continue;
      note(current);
      if (state.status === "streaming") frames.soon();
      else change({ status: "streaming" });
    }
    return stream;
  }

  /** Answers, tools, and answers again, until there is nothing more to do. */
  async function rounds(current, schema) {
    const { tools, maxRounds = MOST_ROUNDS } = settings;
    for (let round = 1; ; round++) {
      const stream = await answer(current, schema);
      if (current !== turn) return {};
      note(current);
      const { outcome, toolCalls } = stream;
      const ours = outcome === "aborted" ? [] : answerable(toolCalls, tools);
      if (ours.length === 0) return { outcome };
      // The others are the application's to answer.
      const isOver = ours.length < toolCalls.length;
      if (!isOver && round >= maxRounds) {
        return {
          outcome,
          error: failure("budget_exhausted", `the model called tools ${round} times without an answer (maxRounds)`),
        };
      }
      change({});
      if (current !== turn) return {};
      const results = await answers(ours, tools, current.controller.signal);
      if (current !== turn) return {};
      current.unsent = results.map(identified);
      state = { ...state, messages: [...state.messages, ...current.unsent] };
      if (isOver) return { outcome };
    }
  }

  /** One turn, from the question that stands at the end of the messages. Never rejects. */
  async function take(schema) {
    const current = (turn = { controller: new AbortController() });
    current.ended = new Promise((resolve) => (current.end = resolve));
    change({ status: "submitted", error: null, outcome: null });
    let [outcome, error, data] = ["failed", null, null];
    try {
      ({ outcome = "failed", error = null } = await rounds(current, schema));
      if (current === turn && schema && outcome === "complete") {
        data = await validated(schema, jsonOf(current.stream.content, "the answer"), "the answer");
      }
    } catch (thrown) {
      error = thrown instanceof BehestError ? thrown : failure("invalid_config", words(thrown), thrown);
      outcome = current.stream?.outcome ?? (error.reason === "aborted" ? "aborted" : "failed");
    }
    if (current !== turn) return current.ended;
    note(current);
    return finish(current, outcome, error, data);
  }

  /** The turn is over. */
  function finish(current, outcome, error = null, data = null) {
    turn = undefined;
    const isFailure = error !== null && outcome !== "aborted";
    const message = state.messages.find(({ id }) => id === current.message?.id) ?? null;
    const result = { outcome, message, data, error: isFailure ? error : null };
    if (!isFailure && outcome !== "aborted") {
      for (const message of state.messages) if (!current.unsent?.includes(message)) stored.add(message.id);
    }
    change({ status: isFailure ? "error" : "ready", outcome, error: result.error });
    current.end(result);
    if (isFailure) theirs(settings.onError, error);
    else if (outcome !== "aborted") theirs(settings.onFinish, result);
    return result;
  }

  const nothing = (outcome) => ({ outcome, message: null, data: null, error: null });

  /** Asks, unless an answer is under way already. `prepare` makes the messages ready, or says that there is nothing to ask. */
  async function ask(prepare, { schema = settings.schema } = {}) {
    const asked = stops;
    // Not a turn later, or `stop` right after `send` would come too early.
    if (hydration) await hydration;
    // What was asked of one thread is not asked of the next.
    if (asked !== stops) return nothing("aborted");
    if (turn || !prepare()) return nothing("ignored");
    return take(schema);
  }

  const upTo = (place) => state.messages.slice(0, place);

  function again(place, question) {
    if (place < 0) return false;
    stored.delete(question.id);
    state = { ...state, messages: [...upTo(place), question] };
    return true;
  }

  async function hydrate() {
    const mine = (reading = {});
    change({ loading: true, error: null });
    const came = await behest.threads
      .messages(threadId)
      .then(list)
      .catch((error) => (error.status === 404 ? [] : { error }));
    // Another thread is wanted, or this one anew.
    if (mine !== reading) return;
    hydration = undefined;
    isHydrated = !came.error;
    if (came.error) return change({ loading: false, status: "error", error: came.error });
    const messages = came.map(identified);
    for (const { id } of messages) stored.add(id);
    change({ loading: false, messages: [...messages, ...state.messages] });
  }

  const load = () => (isHydrated || !threadId ? undefined : (hydration ??= hydrate()));

  const chat = {
    subscribe(listener) {
      listeners.add(listener);
      void load();
      listener(snapshot);
      return () => void listeners.delete(listener);
    },
    getSnapshot: () => snapshot,
    get messages() {
      return state.messages;
    },
    get status() {
      return state.status;
    },
    get outcome() {
      return state.outcome;
    },
    get error() {
      return state.error;
    },
    get threadId() {
      return threadId;
    },
    get sessionId() {
      return conversation?.sessionId;
    },
    send(content, options) {
      const isText = typeof content === "string" || Array.isArray(content);
      const message = isText ? { role: "user", content: trimmed(content) } : content;
      void load();
      return ask(() => {
        if (!message || !message.role || !message.content?.length) return false;
        state = { ...state, messages: [...state.messages, identified(message)] };
        return true;
      }, options);
    },
    regenerate(options) {
      return ask(() => {
        const place = state.messages.findLastIndex(({ role }) => role === "user");
        return again(place, state.messages[place]);
      }, options);
    },
    edit(id, given, options) {
      const content = trimmed(given);
      return ask(() => {
        const place = state.messages.findIndex((message) => message.id === id);
        return content?.length > 0 && again(place, { ...state.messages[place], content });
      }, options);
    },
    /** What came so far stays. */
    stop() {
      stops += 1;
      if (!turn) return;
      const current = turn;
      current.controller.abort();
      note(current);
      finish(current, "aborted");
    },
    setMessages(messages) {
      chat.stop();
      change({ messages: (typeof messages === "function" ? messages(state.messages) : messages).map(identified) });
    },
    clear() {
      chat.stop();
      conversation = undefined;
      hydration = reading = undefined;
      isHydrated = true;
      stored.clear();
      change({ messages: [], status: "ready", outcome: null, error: null, loading: false });
    },
    async setThread(id, messages) {
      if (id === threadId && !messages) return load();
      chat.clear();
      threadId = id ?? undefined;
      if (messages) return (chat.setMessages(messages), messages.forEach(({ id }) => stored.add(id)));
      isHydrated = false;
      return load();
    },
    configure(changes) {
      settings = { ...settings, ...changes };
    },
  };
  return chat;
}

/** The messages of a thread, in either shape that gateways have. */
function list(reply) {
  const messages = Array.isArray(reply) ? reply : (reply?.messages ?? reply?.data);
  if (Array.isArray(messages) && messages.every((message) => message?.role)) return messages;
  throw failure("invalid_response", "the thread's messages are not a list of messages");
}
