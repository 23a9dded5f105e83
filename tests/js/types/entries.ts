// A use of every entry beside the main one, as applications have them.
import OpenAI from "openai";
import { BehestChatTransport } from "behest-client/ai-sdk";
import type { BehestMetadata } from "behest-client/ai-sdk";
import { chatStore } from "behest-client/chat";
import type { ChatMessage, ChatState, StandardSchema, Tools, Turn } from "behest-client/chat";
import { createClient } from "behest-client";
import { createClient as createWithAuth } from "behest-client/auth";
import type { AuthClient, AuthClientOptions, AuthEvent } from "behest-client/auth";
import { BehestError as InlineError, createClient as createInline } from "behest-client/inline";
import type { BehestError, Client, DoctorReport } from "behest-client";
import { BehestProvider, useBehest, useBehestChat, useBehestThreads, useBehestUsage } from "behest-client/react";

const behest: Client = createClient({
  behestUrl: "https://a.example",
  supabaseUrl: "https://b.example",
  getAccessToken: () => null,
});

export async function signIn(options: AuthClientOptions): Promise<string> {
  const client: AuthClient = createWithAuth({ ...options, detectSessionInUrl: false, maxRetries: 1 });
  const { data } = client.auth.onAuthStateChange((event: AuthEvent, session) => {
    if (event === "PASSWORD_RECOVERY") console.log(session?.user.email?.length, session?.expires_at);
  });
  data.subscription.unsubscribe();
  const answer = await client.auth.signInWithPassword({ email: "ada@example.com", password: "correct horse" });
  // Of error and data one is there, and the compiler knows.
  if (answer.error) return `${answer.error.reason} ${answer.error.hint}`;
  const { user, session } = answer.data;
  await client.auth.verifyOtp({ token_hash: "hash", type: "recovery" });
  await client.auth.verifyOtp({ phone: "+49", token: "123456", type: "sms" });
  await client.auth.signInWithOtp({ email: "ada@example.com", options: { shouldCreateUser: false } });
  const { error } = await client.auth.signOut({ scope: "others" });
  const plain: Client = client;
  return `${user.id} ${session.access_token} ${error?.code} ${await plain.ask("Hi!")}`;
}

export const inline: [typeof createClient, new (...given: any[]) => BehestError] = [createInline, InlineError];

export const openai = new OpenAI({
  apiKey: "unused",
  baseURL: behest.openaiBaseUrl,
  fetch: behest.fetch,
  dangerouslyAllowBrowser: true,
});
export const asFetch: typeof globalThis.fetch = behest.fetch;

export async function doctor(): Promise<boolean> {
  const report: DoctorReport = await behest.doctor({ origin: "http://localhost:5173", stream: false });
  for (const { check, ok, detail, fix } of report.lines) console.log(check, ok === null, detail?.length, fix?.length);
  return report.ok && String(report).length > 0;
}

declare const schema: StandardSchema<{ name: string }>;

const tools: Tools = {
  plain: (args: { a: number }) => args.a,
  described: {
    description: "What it does",
    parameters: { type: "object", properties: {} },
    run: async (_args, { signal, toolCallId }) => [signal.aborted, toolCallId],
  },
  pages: { description: "Without a function" },
};

export async function store(): Promise<void> {
  const chat = chatStore(behest, {
    messages: [{ role: "user", content: "Hi" }],
    threadId: undefined,
    tools,
    maxRounds: 3,
    budget: { tokens: 5 },
  });
  const unsubscribe: () => void = chat.subscribe((state: ChatState) =>
    state.messages.map((message: ChatMessage) => message.id),
  );
  const turn: Turn = await chat.send("Hi");
  const error: BehestError | null = turn.error;
  const structured = await chat.send([{ type: "text", text: "Hi" }], { schema });
  const name: string | undefined = structured.data?.name;
  // @ts-expect-error: it has no such field
  structured.data?.age;
  await chat.send({ role: "tool", tool_call_id: "1", content: "red" });
  await chat.edit(chat.messages[0]!.id, "Ho", { schema });
  chat.setMessages((messages) => messages.slice(0, 1));
  await chat.setThread(null);
  chat.configure({ model: "m", onFinish: ({ outcome }) => console.log(outcome === "ignored", error, name) });
  // @ts-expect-error: the thread is set by setThread
  chat.configure({ threadId: "t" });
  unsubscribe();
}

export function Page() {
  const client: Client = useBehest();
  const chat = useBehestChat({ id: "a", threadId: "t", tools, client, onError: (error) => console.log(error.reason) });
  const { threads, remove } = useBehestThreads({ autoLoad: false });
  const { usage, refresh } = useBehestUsage({ granularity: "day" });
  const title: string | undefined = threads[0]?.title;
  void chat.send();
  void chat.send("Hi", { schema }).then(({ data }) => data?.name);
  chat.setInput(chat.input + title);
  // @ts-expect-error: a client is needed
  BehestProvider({});
  return {
    provider: BehestProvider({ client, children: null }),
    remove,
    usage,
    refresh,
    status: chat.status === "streaming",
  };
}

export const transport = new BehestChatTransport(behest, { tools, threads: true, system: "Be brief." });
export const metadata: BehestMetadata = {
  outcome: "complete",
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};
