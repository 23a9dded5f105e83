import type { Client, Outcome, Usage } from "behest-client";
import type { Tools } from "behest-client/chat";

export interface BehestChatTransportOptions {
  /** Default: the one the gateway's project is set to. */
  model?: string;
  /** Sent before the messages with each request. */
  system?: string;
  /** Further fields of each request, in OpenAI's words. */
  body?: Record<string, unknown>;
  /**
   * Those with `run` are run by the transport, and the model is asked again in a step of the same message. Those without it
   * are the page's: `onToolCall` and `addToolOutput`. Their parts are `tool-NAME`; a tool that is not listed is a `dynamic-tool`.
   */
  tools?: Tools;
  /** How often the model may call tools for one message. Default 8. */
  maxRounds?: number;
  /** Use the chat's id as the gateway's thread: it stores the messages, and only what is new is sent. Default false. */
  threads?: boolean;
}

/** The metadata of the messages that it makes: `useChat<UIMessage<BehestMetadata>>`. */
export interface BehestMetadata {
  usage?: Usage;
  outcome?: Outcome;
  sessionId?: string;
  traceId?: string;
}

/**
 * The AI SDK's `useChat` over a Behest client, without a backend of one's own:
 * `useChat({ transport: new BehestChatTransport(behest) })`. Each chat id has a session of its own. What fails is the chat's
 * `error`, a `BehestError`.
 */
export class BehestChatTransport {
  constructor(behest: Pick<Client, "conversation">, options?: BehestChatTransportOptions);
  sendMessages(options: {
    chatId: string;
    messages: any[];
    abortSignal: AbortSignal | undefined;
    body?: object | undefined;
    [option: string]: any;
  }): Promise<ReadableStream<any>>;
  /** There is nothing to reconnect to: the gateway keeps no answer that a page has stopped reading. Always null. */
  reconnectToStream(options?: unknown): Promise<null>;
}
