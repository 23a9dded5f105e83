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

  #source;
  #trace;
  /** What has come and was not asked for yet: chunks, what they change, or texts. */
  #items = NONE;
  #next = 0;
  /** Who waits for the next one, in the order they came. */
  #waiting = [];
  #reading = false;
  #textOnly = false;
  #read = (result) => {
    this.#reading = false;
    this.#receive(this.#source.took(result, this.#textOnly));
  };
  #broken = (thrown) => {
    this.#reading = false;
    this.#source.broke(thrown);
    this.#receive("");
  };

  /** `source`: what the driver does for this call. */
  constructor(source) {
    this.#source = source;
  }

  /** Cancels the request. What came so far stays; a pending `next` ends. */
  abort = () => {
    if (this.outcome) return;
    const trace = this.trace;
    this.#source.abort();
    this.ended("aborted", trace);
  };

  /** The next chunk. Calls are answered in order, also when they come all at once. */
  next() {
    return this.#ask(false);
  }

  /** Leaving a `for await` loop early cancels the request. */
  async return() {
    this.abort();
    return END;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** Only the text, piece by piece. */
  text() {
    const texts = {
      next: () => this.#ask(true),
      return: () => this.return(),
      async throw(error) {
        await texts.return();
        throw error;
      },
      [Symbol.asyncIterator]: () => texts,
    };
    return texts;
  }

  /** What the call did and how long it took. */
  get trace() {
    return this.#trace ?? this.#source.trace();
  }

  get sessionId() {
    return this.trace.sessionId;
  }

  get traceId() {
    return this.trace.traceId;
  }

  /** From the driver: what has not been handed out is void. */
  interrupted() {
    this.#items = NONE;
    if (this.#waiting.length > 0) this.#more();
  }

  /** From the driver: a change that belongs to no chunk. */
  changed(change) {
    Object.assign(this, change);
  }

  /** From the driver: a piece of a tool call. */
  toolCall([slot, id, name, more]) {
    const call = (this.toolCalls[slot] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    call.id += id;
    call.function.name += name;
    call.function.arguments += more;
  }

  /** From the driver: this is the end. */
  ended(outcome, trace, error = null) {
    if (this.outcome) return;
    this.outcome = outcome;
    this.#trace = trace;
    this.error = error;
    this.#items = NONE;
    this.#source.over();
    const [first, ...others] = this.#waiting.splice(0);
    if (error) first?.reject(error);
    else first?.resolve(END);
    for (const { resolve } of others) resolve(END);
  }

  #ask(textOnly) {
    if (this.#waiting.length === 0) {
      if (this.outcome) return Promise.resolve(END);
      const value = this.#take(textOnly);
      if (value !== undefined) return Promise.resolve({ done: false, value });
    }
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ resolve, reject, textOnly }) === 1) this.#more();
    });
  }

  /** The network has to bring what is next; or this was all, and whoever waits is told so. */
  #more() {
    const read = this.#source.more();
    // One that is under way brings what is next, whoever asked for it.
    if (!read || this.#reading) return;
    this.#reading = true;
    this.#textOnly = this.#waiting[0].textOnly;
    this.#source.read().then(this.#read, this.#broken);
  }

  /** Items have come, as JSON or as text. */
  #receive(text) {
    if (text && !this.outcome) {
      this.#items = this.#textOnly ? [text] : JSON.parse(text);
      this.#next = 0;
    }
    const waiting = this.#waiting;
    while (waiting.length > 0) {
      const value = this.#take(waiting[0].textOnly);
      if (value === undefined) return this.#more();
      waiting.shift().resolve({ done: false, value });
    }
  }

  /** The next chunk or text that is there, and with it what it changes. */
  #take(textOnly) {
    const items = this.#items;
    while (this.#next < items.length) {
      const item = items[this.#next++];
      if (typeof item === "string") {
        // In a list of texts; one that stands among chunks was taken with its own.
        this.content += item;
        return item;
      }
      const content = this.#note(item);
      for (; this.#next < items.length; this.#next++) {
        const change = items[this.#next];
        if (Array.isArray(change)) this.toolCall(change);
        else if (typeof change === "string") this.finishReason = change;
        else break;
      }
      if (!textOnly) return item;
      if (content) return content;
    }
  }

  #note(chunk) {
    if (chunk.usage) this.usage = chunk.usage;
    const content = firstOf(chunk.choices)?.delta?.content;
    if (typeof content !== "string") return;
    this.content += content;
    return content;
  }
}

const END = { done: true, value: undefined };
const NONE = [];

function firstOf(choices) {
  if (!Array.isArray(choices)) return;
  const [first] = choices;
  return first && !first.index ? first : choices.find((choice) => choice && !choice.index);
}
