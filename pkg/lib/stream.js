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
  /** What has come and was not asked for yet: a list of chunks and what they change. */
  #items = NONE;
  #next = 0;
  /** What the chunks that come as their text alone are like. */
  #pattern;
  /** The promise of whoever asked last, and how many wait for those before them. */
  #last;
  #queued = 0;
  #reading = false;
  #textOnly = false;
  /** The error is thrown once. */
  #isTold = false;

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
      // `await using`. Where there is no such symbol yet, nobody can ask for it.
      [Symbol.asyncDispose]: async () => void this.abort(),
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
  }

  #ask(textOnly) {
    if (this.#reading || this.#queued > 0) {
      this.#queued += 1;
      const next = () => {
        this.#queued -= 1;
        return this.#give(textOnly);
      };
      return (this.#last = this.#last.then(next, next));
    }
    return (this.#last = this.#give(textOnly));
  }

  #give(textOnly) {
    const value = this.#take(textOnly);
    if (value !== undefined) return Promise.resolve({ done: false, value });
    return this.#hasMore(textOnly) ? this.#source.read().then(this.#came, this.#broke) : this.#end();
  }

  /** Does the network have to bring what is next? */
  #hasMore(textOnly) {
    this.#textOnly = textOnly;
    return (this.#reading = !this.outcome && this.#source.more());
  }

  /** The result of a read becomes the result of `next`: one object for both. */
  #came = (result) => {
    const value = this.#fill(result);
    if (value === undefined) return this.#readOn();
    result.done = false;
    result.value = value;
    return result;
  };

  #broke = (thrown) => {
    this.#reading = false;
    this.#source.broke(thrown);
    return this.#readOn();
  };

  /** What came was nothing to hand out. A loop, so that no promise waits for another however often that is so. */
  async #readOn() {
    while (this.#hasMore(this.#textOnly)) {
      try {
        const value = this.#fill(await this.#source.read());
        if (value !== undefined) return { done: false, value };
      } catch (thrown) {
        this.#reading = false;
        this.#source.broke(thrown);
      }
    }
    return this.#end();
  }

  async #end() {
    if (!this.error || this.#isTold) return END;
    this.#isTold = true;
    throw this.error;
  }

  /** Bytes, or their end, have come. Gives the first of what they bring. */
  #fill(result) {
    this.#reading = false;
    const text = this.#source.took(result, this.#textOnly);
    if (!text || this.outcome) return;
    if (this.#textOnly) {
      this.content += text;
      return text;
    }
    this.#items = JSON.parse(text);
    this.#next = 0;
    return this.#take(false);
  }

  /** The next chunk or text that is there, and with it what it changes. */
  #take(textOnly) {
    const items = this.#items;
    while (this.#next < items.length) {
      let item = items[this.#next++];
      if (typeof item === "string") {
        this.content += item;
        if (!textOnly) return copy(this.#pattern, item);
        if (item) return item;
        continue;
      }
      const content = this.#note(item);
      for (; this.#next < items.length; this.#next++) {
        const change = items[this.#next];
        if (change === 0) this.#pattern = copy(item);
        else if (!Array.isArray(change)) break;
        else if (change.length > 1) this.toolCall(change);
        else [this.finishReason] = change;
      }
      if (!textOnly) return item;
      if (content) return content;
    }
  }

  #note(chunk) {
    if (isObject(chunk.usage)) this.usage = chunk.usage;
    const content = textOf(firstOf(chunk.choices)?.delta);
    this.content += content;
    return content;
  }
}

const END = { done: true, value: undefined };
const NONE = [];

const isText = (value) => typeof value === "string";
const isObject = (value) => typeof value === "object" && value && !Array.isArray(value);

/** The first answer's, by the engine's rule. */
function firstOf(choices) {
  if (!Array.isArray(choices)) return;
  return choices.find((choice) => isObject(choice) && (choice.index ?? 0) === 0);
}

/** The text that a change adds, by the engine's rule: content, also in parts, or the words of a refusal. */
export function textOf(delta) {
  const { content, refusal } = delta ?? {};
  if (isText(refusal) && refusal) return refusal;
  return (Array.isArray(content) ? content.map((part) => part?.text) : [content]).filter(isText).join("");
}

/** A chunk once more, with another text. */
function copy(chunk, text) {
  const made = copied(chunk);
  if (text !== undefined) firstOf(made.choices).delta.content = text;
  return made;
}

function copied(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copied);
  const made = { ...value };
  for (const name in made) {
    const inner = made[name];
    if (typeof inner === "object") made[name] = copied(inner);
  }
  return made;
}
