// An application's use of the package, as its types describe it. Compiled, never run.
import type { SupabaseClient } from "@supabase/supabase-js";
import OpenAI from "openai";

import { BehestError, createClient, type ChatCompletion, type ChatStream, type Client, type Outcome, type Reason } from "behest-client";

declare const supabase: SupabaseClient;

// A session source is either supabase-js itself or a callback, and exactly one of them.
const behest: Client = createClient({ supabase, behestUrl: "https://project.behest.app", functionName: "behest-token" });
createClient({ behestUrl: "https://project.behest.app", supabaseUrl: "https://ref.supabase.co", getAccessToken: async () => null });
createClient({ behestUrl: "b", supabaseUrl: "s", getAccessToken: () => "token", marginMs: 30_000, maxRetries: 0, timeouts: { idleMs: 5_000 } });
createClient({ supabase, behestUrl: "b", wasmUrl: new URL("https://cdn.example/behest.wasm") });
createClient({ supabase, behestUrl: "b", wasmModule: fetch("/behest.wasm").then((response) => response.arrayBuffer()) });
// @ts-expect-error There is no session source.
createClient({ behestUrl: "https://project.behest.app", supabaseUrl: "https://ref.supabase.co" });
// @ts-expect-error There are two session sources.
createClient({ supabase, behestUrl: "b", getAccessToken: async () => null });
// @ts-expect-error The gateway's URL is missing.
createClient({ supabase });
// @ts-expect-error An option is misspelt.
createClient({ supabase, behestUrl: "b", functionsName: "behest-token" });

export async function ask(signal: AbortSignal): Promise<string> {
  const answer: string = await behest.ask("Hi!", { signal });
  // @ts-expect-error A question is text.
  await behest.ask(42);
  return answer;
}

// What an application that already uses `openai` has in its hands fits, both ways.
export async function asOpenAI(
  whole: OpenAI.Chat.Completions.ChatCompletionCreateParamsNonStreaming,
  streamed: OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming,
  either: OpenAI.Chat.Completions.ChatCompletionCreateParams,
): Promise<OpenAI.Chat.Completions.ChatCompletion> {
  const stream = await behest.chat.completions.create(streamed);
  for await (const chunk of stream) {
    const theirs: OpenAI.Chat.Completions.ChatCompletionChunk = chunk;
    console.log(theirs.choices[0]?.delta.content);
  }
  const unknown: ChatStream | ChatCompletion = await behest.chat.completions.create(either);
  console.log(unknown);
  const completion: OpenAI.Chat.Completions.ChatCompletion = await behest.chat.completions.create(whole);
  return completion;
}

// A function written for `openai` takes our client in its place.
interface Completions {
  create(body: OpenAI.Chat.Completions.ChatCompletionCreateParamsNonStreaming): PromiseLike<OpenAI.Chat.Completions.ChatCompletion>;
}
export const interchangeable: Completions[] = [behest.chat.completions, new OpenAI({ apiKey: "unused" }).chat.completions];

export async function literals(): Promise<void> {
  const completion = await behest.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], temperature: 0 });
  const text: string | null = completion.choices[0]!.message.content;
  const stream = await behest.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], stream: true });
  for await (const piece of stream.text()) console.log(piece.toUpperCase(), text);
  const outcome: Outcome | null = stream.outcome;
  const tokens: number | undefined = stream.usage?.total_tokens;
  // @ts-expect-error A whole completion is no stream.
  for await (const chunk of completion) console.log(chunk);
  // @ts-expect-error Messages are required.
  await behest.chat.completions.create({ stream: true });
  console.log(outcome, tokens, stream.content, stream.sessionId, stream.traceId);
}

export function explain(error: unknown): string {
  if (!(error instanceof BehestError)) return "not ours";
  const reason: Reason = error.reason;
  switch (error.action) {
    case "retry_after":
      return `again in ${error.retryAfterMs ?? 0} ms`;
    case "sign_in":
      return reason === "signed_out" ? "sign in" : error.hint;
    // @ts-expect-error There is no such action.
    case "panic":
      return "";
    default:
      return `${error.message} ${error.status ?? ""} ${error.traceId ?? ""}`;
  }
}

export async function rest(): Promise<void> {
  const conversation = behest.conversation({ threadId: "thread-1" });
  await conversation.ask("Hi!");
  const token: { sessionId: string; remainingMs: number; ttlMs: number } | null = behest.token.peek();
  behest.token.invalidate();
  behest.sessionChanged(null);
  await behest.warm();
  const usage: Record<string, unknown> = await behest.usage.get();
  await behest.models.list();
  console.log(token, usage, conversation.sessionId);
}
