/** LlamaIndex through `behest.fetch`, beside the libraries that tests/js has: it streams and calls a tool, with one mint. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import { tool } from "@llamaindex/core/tools";
import { OpenAI } from "@llamaindex/openai";
import { z } from "zod";

import { startStack, wwwFolder } from "../js/support/stack.mjs";
import { project } from "./project.mjs";

const LIMIT = { timeout: 60_000 };
let stack;
let behest;

before(async () => {
  stack = await startStack({ packageFolder: wwwFolder });
  const session = await stack.session();
  const entry = path.join(await project("libraries"), "node_modules/behest-client/node.js");
  const { createClient } = await import(pathToFileURL(entry).href);
  behest = createClient({ supabaseUrl: stack.supabase, behestUrl: stack.gateway, getAccessToken: () => session });
});
after(() => stack?.stop());

test("LlamaIndex streams and calls a tool", LIMIT, async () => {
  const session = { baseURL: behest.openaiBaseUrl, fetch: behest.fetch };
  const llm = new OpenAI({ apiKey: "unused", model: "default", additionalSessionOptions: session });
  const ask = (content) => ({ messages: [{ role: "user", content }] });
  const pieces = [];
  for await (const { delta } of await llm.chat({ ...ask("Hi!"), stream: true })) if (delta) pieces.push(delta);
  assert.ok(pieces.length > 1, pieces.join());
  assert.match(pieces.join(""), /You wrote: “Hi!”/);

  const weather = tool({ name: "get_weather", description: "The weather", parameters: z.object({}), execute: () => "sunny" });
  const { message } = await llm.chat({ ...ask("Use get_weather, please."), tools: [weather] });
  assert.deepEqual(message.options.toolCall.map(({ name }) => name), ["get_weather"]);
  assert.equal((await stack.counters())("mint"), 1);
});
