/** Libraries that speak OpenAI's API, through `behest.fetch`, against behest-local: they stream, call a tool, are cancelled. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { createClient as createSupabase } from "@supabase/supabase-js";
import { stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { startStack } from "./support/stack.mjs";

let installed;
let stack;
let behest;

before(async () => {
  installed = await installPackage();
  stack = await startStack(installed);
  const { createClient } = await installed.load("node.js");
  const supabase = createSupabase(stack.supabase, stack.publishableKey, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: class {} },
  });
  await supabase.auth.signUp({ email: `${crypto.randomUUID()}@example.com`, password: "correct horse battery" });
  behest = createClient({ supabase, behestUrl: stack.gateway });
});
after(async () => {
  behest?.close();
  await stack?.stop();
  await installed?.remove();
});

const QUESTION = "Use get_weather, please.";
const LONG = "Tell me a long story.";

/** Ends an answer after its first piece, and waits until the gateway has noticed. */
async function cancelled(read) {
  const count = async () => (await stack.counters())("chat.aborted");
  const before = await count();
  await read();
  while ((await count()) === before) await new Promise((resolve) => setImmediate(resolve));
}

const openai = () => new OpenAI({ apiKey: "unused", baseURL: behest.openaiBaseUrl, fetch: behest.fetch });
const compatible = () =>
  createOpenAICompatible({ name: "behest", baseURL: behest.openaiBaseUrl, fetch: behest.fetch })("default");
const langchain = () =>
  new ChatOpenAI({
    apiKey: "unused",
    model: "default",
    configuration: { baseURL: behest.openaiBaseUrl, fetch: behest.fetch },
  });

test("openai streams, calls a tool and is cancelled", LIMIT, async () => {
  const ask = (content) => ({ model: "default", messages: [{ role: "user", content }] });
  const { content, pieces } = await joined(
    await openai().chat.completions.create({ ...ask("Hi!"), stream: true }),
    (chunk) => chunk.choices[0]?.delta?.content,
  );
  assert.ok(content.length > 0 && pieces > 1, `${content} in ${pieces}`);

  const runner = openai().chat.completions.runTools({
    ...ask(QUESTION),
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          parse: JSON.parse,
          function: () => "sunny",
          parameters: { type: "object", properties: {} },
        },
      },
    ],
  });
  await runner.done();
  assert.ok(runner.messages.some((message) => message.role === "tool" && message.content === "sunny"));
  assert.ok((await runner.finalContent()).length > 0);

  await cancelled(async () => {
    for await (const chunk of await openai().chat.completions.create({ ...ask(LONG), stream: true }))
      if (chunk.choices[0]?.delta?.content) break;
  });
});

test("the AI SDK streams, calls a tool and is cancelled", LIMIT, async () => {
  const { content, pieces } = await joined(streamText({ model: compatible(), prompt: "Hi!" }).textStream, (text) => text);
  assert.ok(content.length > 0 && pieces > 1, `${content} in ${pieces}`);

  let ran = 0;
  const steps = streamText({
    model: compatible(),
    prompt: QUESTION,
    stopWhen: stepCountIs(3),
    tools: { get_weather: tool({ inputSchema: z.object({}).loose(), execute: async () => (ran += 1) && "sunny" }) },
  });
  assert.ok((await steps.text).length > 0);
  assert.equal(ran, 1);

  const controller = new AbortController();
  await cancelled(async () => {
    for await (const _text of streamText({ model: compatible(), prompt: LONG, abortSignal: controller.signal }).textStream)
      controller.abort();
  });
});

test("LangChain streams, calls a tool and is cancelled", LIMIT, async () => {
  const { content, pieces } = await joined(await langchain().stream("Hi!"), (chunk) => chunk.content);
  assert.ok(content.length > 0 && pieces > 1, `${content} in ${pieces}`);

  const weather = langchainTool(async () => "sunny", {
    name: "get_weather",
    description: "The weather",
    schema: z.object({}),
  });
  const answer = await langchain().bindTools([weather]).invoke(QUESTION);
  assert.equal(answer.tool_calls[0].name, "get_weather");
  assert.equal((await weather.invoke(answer.tool_calls[0])).content, "sunny");

  const controller = new AbortController();
  await cancelled(async () => {
    const stream = await langchain().stream(LONG, { signal: controller.signal });
    await assert.rejects(async () => {
      for await (const _chunk of stream) controller.abort();
    });
  });
});

test("all of them together have cost one mint, and their errors are the gateway's own", LIMIT, async () => {
  assert.equal((await stack.counters())("mint"), 1);
  const error = await openai()
    .chat.completions.create({ model: "default", messages: [] })
    .then(assert.fail, (thrown) => thrown);
  assert.equal(error.constructor.name, "BadRequestError");
  assert.ok(error.message.length > 5, error.message);
});

async function joined(stream, textOf) {
  let [content, pieces] = ["", 0];
  for await (const item of stream) {
    const text = textOf(item);
    if (!text) continue;
    content += text;
    pieces += 1;
  }
  return { content, pieces };
}
