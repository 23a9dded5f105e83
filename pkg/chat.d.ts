import type { BehestError, Budget, Client, Outcome, ToolCall, Usage } from "behest-client";

/** What zod, valibot, arktype and others have in common: https://standardschema.dev */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => any;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** A message in OpenAI's shape, with an id of the page's own. `id` and `info` are not sent to the model. */
export interface ChatMessage {
  id: string;
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: any;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
  /** Of answers: how it ended, what it cost, and the gateway's id of the call. */
  info?: { outcome: Outcome | null; finishReason: string | null; usage: Usage | null; traceId?: string | undefined };
}

/** A message as it is given to the store, which makes the id if there is none. */
export type NewMessage = Omit<ChatMessage, "id" | "info"> & { id?: string };

export type ChatStatus = "ready" | "submitted" | "streaming" | "error";

/** What the store told last. A new object with each change; old ones never change. */
export interface ChatState {
  readonly messages: readonly ChatMessage[];
  /** `submitted`: asked, nothing has come yet. `error`: the last turn failed; `send` and `regenerate` go on from here. */
  readonly status: ChatStatus;
  /** How the last turn ended; null before the first one and while one goes on. */
  readonly outcome: Outcome | null;
  readonly error: BehestError | null;
  /** The thread's messages are being fetched. */
  readonly loading: boolean;
}

/** How one turn ended, with all calls of tools that belong to it. */
export interface Turn<Data = unknown> {
  /** `ignored`: there was nothing to ask, or an answer was under way already. */
  outcome: Outcome | "ignored";
  /** The last answer, as far as it came; null if nothing came. */
  message: ChatMessage | null;
  /** What the schema made of the answer; null without a schema, or if it does not fit (see `error`). */
  data: Data | null;
  /** An answer that does not fit its schema is an `invalid_response` whose `cause` are the schema's issues. */
  error: BehestError | null;
}

/**
 * A tool that the model may call. Its result goes back to the model: a string as it is, anything else as JSON; what it throws
 * as `{ error: message }`. Without `run` the turn ends with the outcome `tool_calls`, for the application to go on from: what
 * the model has called beside it has run by then, and `send` takes the missing result.
 */
export interface Tool {
  description?: string;
  /** JSON Schema, or a Standard Schema that tells its own (`~standard.jsonSchema`, as zod 4.2 does). Arguments are checked by the latter. */
  parameters?: StandardSchema | Record<string, unknown>;
  run?(args: any, context: { signal: AbortSignal; toolCallId: string }): unknown;
}

/** A bare function is described by the body's own `tools`. */
export type Tools = Record<string, Tool | ((args: any, context: { signal: AbortSignal; toolCallId: string }) => unknown)>;

export interface ChatOptions {
  /** What the conversation begins with. With a `threadId`, these are taken for the thread's and it is not fetched. */
  messages?: readonly NewMessage[];
  /** A thread that the gateway stores. It is fetched with the first subscriber or the first `send`. */
  threadId?: string | undefined;
  /** The session that cost is attributed to. Default: a new one. */
  sessionId?: string;
  /** What the conversation may spend. */
  budget?: Budget;
  /** Default: the one the gateway's project is set to. */
  model?: string;
  /** Sent before the messages with each request, and not one of them. */
  system?: string;
  /** Further fields of each request, in OpenAI's words. */
  body?: Record<string, unknown>;
  /** Run by themselves, and the model is asked again with their results. */
  tools?: Tools;
  /** How often the model may call tools in one turn. Past it the turn fails with `budget_exhausted`. Default 8. */
  maxRounds?: number;
  /** The answer's form, for every turn. */
  schema?: StandardSchema;
  /** In a thread only what is new is sent, since the gateway has the rest; `true` sends all messages each time. Default false. */
  resendHistory?: boolean;
  /** A turn has ended by itself: not after `stop`, and not with an error. */
  onFinish?: (turn: Turn) => void;
  onError?: (error: BehestError) => void;
}

type OutputOf<Schema> = Schema extends { readonly "~standard": { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly output: infer Output }
    ? Output
    : unknown
  : unknown;

/** Only one turn is under way at a time. The promises never reject: what went wrong is in the turn and in `error`. */
export interface ChatStore {
  /** Calls `listener` at once and with each change, while an answer streams at most once a frame. (Svelte's contract of stores.) */
  subscribe(listener: (state: ChatState) => void): () => void;
  /** The state that was told last. (For `useSyncExternalStore`.) */
  getSnapshot(): ChatState;
  /** The newest state, which listeners may not have been told yet. */
  readonly messages: readonly ChatMessage[];
  readonly status: ChatStatus;
  readonly outcome: Outcome | null;
  readonly error: BehestError | null;
  readonly threadId: string | undefined;
  /** Known after the first call. */
  readonly sessionId: string | undefined;
  /** Asks: a text, OpenAI's content parts, or a whole message (a tool's result, say). Empty text is ignored. */
  send<Schema extends StandardSchema>(
    content: string | readonly unknown[] | NewMessage,
    options: { schema: Schema },
  ): Promise<Turn<OutputOf<Schema>>>;
  send(content: string | readonly unknown[] | NewMessage): Promise<Turn>;
  /** Cancels the answer, on the wire too. What came so far stays. */
  stop(): void;
  /** Asks the last question again, in place of its answer. */
  regenerate(options?: { schema?: StandardSchema }): Promise<Turn>;
  /** Asks in place of an earlier question; what followed it goes. Empty text is ignored. */
  edit(id: string, content: string | readonly unknown[], options?: { schema?: StandardSchema }): Promise<Turn>;
  /** Stops, and begins anew: without messages, and with a session of its own. Also needed after another user has signed in. */
  clear(): void;
  setMessages(messages: readonly NewMessage[] | ((messages: readonly ChatMessage[]) => readonly NewMessage[])): void;
  /** Stops, and goes over to another thread, whose messages are fetched unless they are given; `null` leaves threads. */
  setThread(threadId: string | null | undefined, messages?: readonly NewMessage[]): Promise<void>;
  /** Other options from the next turn on: callbacks, tools, model, body, and so on. */
  configure(options: Omit<ChatOptions, "messages" | "threadId">): void;
}

/** One conversation, for any framework. Nothing is loaded or sent before the first `subscribe` or `send`. */
export function chatStore(behest: Pick<Client, "conversation" | "threads">, options?: ChatOptions): ChatStore;
