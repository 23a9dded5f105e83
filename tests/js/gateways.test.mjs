/** Answers as gateways of all makes write them: what they say reaches the caller, whichever way it is asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { installed, lab, setUp, streamOf, until } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";

const { BehestChatTransport } = await installed.load("ai-sdk.js");

const change = (delta, finish_reason = null) => lab.event({ id: "c", choices: [{ index: 0, delta, finish_reason }] });
const tool = (index, id, name, text) => change({ tool_calls: [{ index, id, type: "function", function: { name, arguments: text } }] });
const end = (reason = "stop") => [change({}, reason), lab.event("[DONE]")];
const question = [{ id: "1", role: "user", parts: [{ type: "text", text: "Hi!" }] }];

test("two readers of one stream each get what they asked for, in order", LIMIT, async () => {
  const letters = [..."abcdefgh"];
  for (const pieces of [letters.map(lab.delta), [letters.map(lab.delta).join("")]]) {
    const stream = await streamOf(setUp(() => lab.stream([...pieces, ...end()])).behest);
    const seen = [];
    const read = async (items, ofItem) => {
      for await (const item of items) seen.push(ofItem(item));
    };
    await Promise.all([
      read(stream.text(), (text) => text),
      read(stream, ({ choices: [{ delta }] }) => delta.content ?? ""),
      read(stream.text(), (text) => text),
    ]);
    assert.deepEqual([seen.join(""), stream.content, stream.outcome], ["abcdefgh", "abcdefgh", "complete"]);
  }
});

test("whoever cancels the AI SDK's stream in the middle of a silence is gone from the wire", LIMIT, async () => {
  const { world, behest } = setUp(() => lab.stream([lab.delta("Hi"), lab.STALL]));
  const reader = (await new BehestChatTransport(behest).sendMessages({ chatId: "c", messages: question })).getReader();
  for (let part; part !== "text-delta"; ) part = (await reader.read()).value.type;
  await reader.cancel();
  await until(() => world.requests.at(-1).cancelled);
});

test("a tool of the transport hears of a stop, also where the page gave no signal", LIMIT, async () => {
  const { behest } = setUp(() => lab.stream([tool(0, "a", "f", "{}"), ...end("tool_calls")]));
  let given;
  const f = (_args, { signal }) => new Promise((resolve) => (given = signal)?.addEventListener("abort", resolve));
  const transport = new BehestChatTransport(behest, { tools: { f } });
  const reader = (await transport.sendMessages({ chatId: "c", messages: question })).getReader();
  for (let part; part !== "finish-step"; ) part = (await reader.read()).value.type;
  void reader.read();
  await until(() => given);
  await reader.cancel();
  assert.equal(given.aborted, true);
});
