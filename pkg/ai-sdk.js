// The AI SDK's `useChat` over a Behest client, without a backend of one's own. Needs nothing of the AI SDK itself.
import { stepsOf } from "./lib/ai-sdk/steps.js";
import { toModelMessages } from "./lib/ai-sdk/messages.js";
import { invalidConfig } from "./lib/error.js";

export class BehestChatTransport {
  #behest;
  #options;
  /** Each chat has a session of its own, made with its first message. */
  #conversations = new Map();

  constructor(behest, options = {}) {
    if (typeof behest?.conversation !== "function")
      throw invalidConfig("BehestChatTransport needs a client: createClient(…)");
    this.#behest = behest;
    this.#options = options;
  }

  async sendMessages({ chatId, messages, abortSignal, body }) {
    const { threads, model, system, body: always } = this.#options;
    // The gateway's thread has what came before.
    const question = threads ? messages.findLastIndex(({ role }) => role === "user") : 0;
    const history = await toModelMessages(messages.slice(Math.max(question, 0)));
    const request = {
      model,
      stream_options: { include_usage: true },
      ...always,
      ...body,
      messages: system ? [{ role: "system", content: system }, ...history] : history,
    };
    const conversation = this.#conversation(chatId);
    const left = new AbortController();
    const steps = followed(abortSignal, left, stepsOf(conversation, request, this.#options, left.signal));
    // What goes wrong before the answer begins rejects.
    let next = await steps.next();
    return new ReadableStream(
      {
        async pull(controller) {
          if (next.done) return controller.close();
          controller.enqueue(next.value);
          next = await steps.next();
        },
        cancel() {
          // The step that is awaited ends first.
          left.abort();
          return steps.return();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** An answer that this page no longer reads is over: the gateway keeps none to go on with. */
  async reconnectToStream() {
    return null;
  }

  #conversation(chatId) {
    if (!this.#conversations.has(chatId)) {
      const threadId = this.#options.threads ? chatId : undefined;
      this.#conversations.set(chatId, this.#behest.conversation({ threadId }));
    }
    return this.#conversations.get(chatId);
  }
}

/** The same steps. Who asked for them may leave by `signal`. */
async function* followed(signal, left, steps) {
  const leave = () => left.abort(signal.reason);
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave);
  try {
    yield* steps;
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}
