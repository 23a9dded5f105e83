// Types of libraries that need a newer TypeScript than `openai` does.
import { useChat } from "@ai-sdk/react";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { UIMessage } from "ai";
import { BehestChatTransport } from "behest-client/ai-sdk";
import type { BehestMetadata } from "behest-client/ai-sdk";
import { chatStore } from "behest-client/chat";
import type { Client } from "behest-client";
import { z } from "zod";
import * as v from "valibot";

declare const behest: Client;

export const model = createOpenAICompatible({ name: "behest", baseURL: behest.openaiBaseUrl, fetch: behest.fetch })(
  "default",
);

export function Page(): string | undefined {
  const { messages } = useChat<UIMessage<BehestMetadata>>({ transport: new BehestChatTransport(behest) });
  return messages[0]?.metadata?.sessionId;
}

export async function structured(): Promise<[string | undefined, number | undefined]> {
  const chat = chatStore(behest, {
    tools: { add: { parameters: z.object({ a: z.number() }), run: ({ a }: { a: number }) => a } },
  });
  const first = await chat.send("Who?", { schema: z.object({ name: z.string() }) });
  const second = await chat.send("How old?", { schema: v.object({ age: v.number() }) });
  // @ts-expect-error: it is a string
  const wrong: number | undefined = first.data?.name;
  return [first.data?.name, wrong ?? second.data?.age];
}
