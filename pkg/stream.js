import { toBehestError } from "./error.js";

/** A streamed chat completion: an async iterable of OpenAI's chunks that says how it ended. */
export class ChatStream {
  /** How it ended; null while it goes on. */
  outcome = null;
  /** The first answer's text so far. */
  content = "";
  /** What it cost in tokens, once the gateway has said so. */
  usage = null;
  /** The gateway's word for why the answer ended. */
  finishReason = null;
  /** The tool calls of the first answer so far. */
  toolCalls = [];
  /** What iteration threw, if it did. */
  error = null;

  #core;
  #instance;
  #signal;
  #onAbort;
  #last = Promise.resolve();

  constructor(core, instance, signal) {
    this.#core = core;
    this.#instance = instance;
    this.#signal = signal;
    this.#look();
    if (!signal) return;
    // Weakly: a signal that lives as long as the page does not keep every stream that was opened with it.
    const stream = new WeakRef(this);
    this.#onAbort = () => stream.deref()?.abort();
    signal.addEventListener("abort", this.#onAbort);
    forgotten.register(this, { signal, onAbort: this.#onAbort });
    if (signal.aborted) this.abort();
  }

  /** Cancels the request. What came so far stays; a pending `next` ends. */
  abort = () => {
    if (this.outcome) return;
    if (this.#instance.alive) this.#core.abort();
    this.#end("aborted");
  };

  /** The next chunk. Calls are answered in order, also when they come all at once. */
  next() {
    const next = this.#last.then(() => this.#next());
    this.#last = next.catch(() => {});
    return next;
  }

  async #next() {
    if (this.outcome) return { done: true, value: undefined };
    try {
      const text = await this.#instance.settle(this.#instance.alive && this.#core.next());
      if (text !== undefined && !this.outcome) return { done: false, value: this.#note(JSON.parse(text)) };
      if (!this.outcome) this.#end(this.#core.outcome);
      return { done: true, value: undefined };
    } catch (thrown) {
      this.error = toBehestError(thrown);
      if (this.outcome) throw this.error;
      const outcome = (this.#instance.alive && this.#core.outcome) || "failed";
      if (this.#instance.alive) this.#core.abort();
      this.#end(outcome);
      throw this.error;
    }
  }

  /** Leaving a `for await` loop early cancels the request. */
  async return() {
    this.abort();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** Only the text, piece by piece. */
  async *text() {
    for await (const chunk of this) {
      const text = firstOf(chunk)?.delta?.content;
      if (text) yield text;
    }
  }

  get sessionId() {
    return this.trace.sessionId;
  }

  get traceId() {
    return this.trace.traceId;
  }

  #note(chunk) {
    // What only changes with the first text, with tool calls and at the end.
    if (!this.content || firstOf(chunk)?.delta?.tool_calls) this.#look();
    const choice = firstOf(chunk);
    if (typeof choice?.delta?.content === "string") this.content += choice.delta.content;
    if (choice?.finish_reason) this.finishReason = choice.finish_reason;
    if (chunk.usage) this.usage = chunk.usage;
    return chunk;
  }

  #look() {
    /** What the call did and how long it took. */
    this.trace = this.#core.trace;
    this.toolCalls = this.#core.toolCalls.map(([id, name, arguments_]) => ({
      id,
      type: "function",
      function: { name, arguments: arguments_ },
    }));
  }

  #end(outcome) {
    this.outcome = outcome;
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}

const firstOf = (chunk) => chunk.choices?.find((choice) => choice && !choice.index);

/** Streams that nobody read to their end: their listeners go with them. */
const forgotten = new FinalizationRegistry(({ signal, onAbort }) => signal.removeEventListener("abort", onAbort));
