import type { ReactElement, ReactNode } from "react";
import type { BehestError, CallInfo, Client, UsageQuery } from "behest-client";
import type { ChatOptions, ChatState, ChatStore, Turn } from "behest-client/chat";

/** Gives the hooks below their client. Make it once, outside of components: `const behest = createClient({ … })`. */
export function BehestProvider(props: { client: Client; children?: ReactNode }): ReactElement;

/** The client of the nearest provider. */
export function useBehest(): Client;

export interface UseBehestChatOptions extends ChatOptions {
  /** Another id is another conversation. */
  id?: string;
  /** In place of the provider's. */
  client?: Client;
}

export interface BehestChat extends ChatState, Pick<ChatStore, "stop" | "regenerate" | "edit" | "clear" | "setMessages"> {
  /** An answer is under way, or the thread is being fetched. */
  isLoading: boolean;
  /** For an input field. */
  input: string;
  setInput: (input: string) => void;
  /** Asks `input` and empties it; or asks what it is given, and leaves `input` alone. */
  send: ChatStore["send"] & (() => Promise<Turn>);
}

/**
 * One conversation. Leaving the page ends the answer under way; another `threadId` ends it too, and loads that thread.
 * `messages` are what it begins with; all other options may change with each render.
 */
export function useBehestChat(options?: UseBehestChatOptions): BehestChat;

export interface BehestThread {
  id: string;
  title?: string;
  [field: string]: any;
}

/** The user's threads, as the gateway stores them. `remove` takes one out at once, and puts it back if that fails. */
export function useBehestThreads(options?: {
  client?: Client;
  /** Load with the first render. Default true. */
  autoLoad?: boolean;
}): {
  threads: readonly BehestThread[];
  loading: boolean;
  error: BehestError | null;
  refresh(): Promise<void>;
  getMessages(id: string): Promise<any[]>;
  remove(id: string): Promise<void>;
};

/** What the user has spent, as the gateway reports it; loaded anew when the query changes. */
export function useBehestUsage(
  options?: UsageQuery & {
    client?: Client;
    /** Load with the first render. Default true. */
    autoLoad?: boolean;
  },
): {
  usage: (Record<string, any> & CallInfo) | undefined;
  loading: boolean;
  error: BehestError | null;
  refresh(): Promise<void>;
};
