/** Answers as gateways of all makes write them: what they say reaches the caller, whichever way it is asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { fails, installed, lab, messages, setUp, streamOf, until } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";

const { BehestChatTransport } = await installed.load("ai-sdk.js");

const change = (delta, finish_reason = null) => lab.event({ id: "c", choices: [{ index: 0, delta, finish_reason }] });
const tool = (index, id, name, text) => change({ tool_calls: [{ index, id, type: "function", function: { name, arguments: text } }] });
const end = (reason = "stop") => [change({}, reason), lab.event("[DONE]")];
const question = [{ id: "1", role: "user", parts: [{ type: "text", text: "Hi!" }] }];

/** A stream read to its end in each way, as `[what came, stream]`. */
async function readings(pieces) {
  const ways = { text: (stream) => stream.text(), chunks: (stream) => stream };
  return Promise.all(
    Object.values(ways).map(async (way) => {
      const stream = await streamOf(setUp(() => lab.stream(pieces)).behest);
      const came = [];
      for await (const item of way(stream)) came.push(item);
      return [came, stream];
    }),
  );
}

test("an answer's text is found in parts and in a refusal, and thoughts are not part of it", LIMIT, async () => {
  const cases = {
    "Hello you there": [
      // Mistral's.
      change({ role: "assistant", content: "" }),
      change({ content: [{ type: "thinking", thinking: [{ type: "text", text: "Hmm." }] }] }),
      change({ content: [{ type: "text", text: "Hello" }, null, 7, { type: "text", text: " you" }] }),
      change({ content: " there" }),
    ],
    "I can't do that": [change({ content: null, refusal: "I can't" }), change({ refusal: " do" }), change({ refusal: " that" })],
    "all of it": [change({ content: "all", refusal: "" }), change({ content: " of", refusal: [] }), change({ content: " it", refusal: true })],
    // DeepSeek's; and each field that OpenAI has, as null.
    Hello: [change({ content: null, reasoning_content: "Hmm." }), change({ content: "Hello", refusal: null, tool_calls: null })],
  };
  for (const [expected, pieces] of Object.entries(cases)) {
    const [[texts, one], [chunks, other]] = await readings([...pieces, ...end()]);
    assert.equal(texts.join(""), expected);
    assert.deepEqual([one.content, other.content, chunks.length], [expected, expected, pieces.length + 1]);
    assert.deepEqual([one.outcome, other.outcome], ["complete", "complete"]);
  }
  const parts = [{ type: "text", text: "Hel" }, { type: "image" }, { type: "text", text: "lo" }];
  for (const [message, expected] of [[{ content: parts }, "Hello"], [{ content: null, refusal: "No." }, "No."]]) {
    const { behest } = setUp(() => lab.json(200, { choices: [{ index: 0, message, finish_reason: "stop" }] }));
    assert.equal(await behest.ask("Hi!"), expected);
  }
});

test("an answer that the gateway could not finish is none", LIMIT, async () => {
  const half = { index: 0, message: { role: "assistant", content: "Hel" } };
  const error = { code: 502, message: "the provider went away" };
  for (const body of [{ choices: [half], error }, { choices: [], error }, { choices: [{ ...half, finish_reason: "error" }] }]) {
    await assert.rejects(setUp(() => lab.json(200, body)).behest.ask("Hi!"), fails("server_error"));
  }
  const { behest } = setUp(() => lab.json(200, { choices: [], error }));
  await assert.rejects(behest.chat.completions.create({ messages }), /the provider went away/);
  // Where there are tools and no text, the answer is not the empty text.
  const tools = { index: 0, message: { content: "", tool_calls: [{ id: "a", function: { name: "f" } }] } };
  await assert.rejects(setUp(() => lab.json(200, { choices: [tools] })).behest.ask("Hi!"), /call of tools/);
});

test("calls of tools are as many as the model made, whatever tells their pieces apart", LIMIT, async () => {
  const cases = [
    // vLLM's once had another id in each piece.
    [[tool(0, "a", "f", ""), tool(0, "b", null, '{"x"'), tool(0, "c", null, ":1}")], [["a", "f", '{"x":1}']]],
    // Gemini's once had nothing to tell them apart.
    [[tool(0, "", "f", '{"x":1}'), tool(0, "", "f", '{"x":2}')], [["", "f", '{"x":1}'], ["", "f", '{"x":2}']]],
    [[tool(undefined, undefined, "f", "{}"), tool(undefined, undefined, "g", "{}")], [["", "f", "{}"], ["", "g", "{}"]]],
    // Ollama's: index 0 and an id for each.
    [[tool(0, "a", "f", "{}"), tool(0, "b", "g", "{}")], [["a", "f", "{}"], ["b", "g", "{}"]]],
    // The same id and name in every piece.
    [[tool(0, "a", "f", '{"x"'), tool(0, "a", "f", ":{}"), tool(0, "a", "f", "}")], [["a", "f", '{"x":{}}']]],
    // A name first, the whole of its arguments later.
    [[tool(0, "", "f", ""), tool(0, "", "f", "{}")], [["", "f", "{}"]]],
  ];
  for (const [pieces, expected] of cases) {
    for (const [, { toolCalls, outcome }] of await readings([...pieces, ...end("tool_calls")])) {
      assert.deepEqual(toolCalls.map(({ id, function: { name, arguments: text } }) => [id, name, text]), expected);
      assert.equal(outcome, "tool_calls");
    }
  }
  const inputs = {};
  const { behest } = setUp(() => lab.stream([...cases[0][0], ...end("tool_calls")]));
  for await (const { toolCallId, inputTextDelta = "" } of await new BehestChatTransport(behest).sendMessages({ chatId: "c", messages: question })) {
    if (toolCallId) inputs[toolCallId] = (inputs[toolCallId] ?? "") + inputTextDelta;
  }
  assert.deepEqual(inputs, { a: '{"x":1}' });
});

for (const [what, of] of [
  ["no ids", () => undefined],
  ["the same id each", () => "0"],
]) {
  test(`calls that have ${what} are told apart in the AI SDK, and answered`, LIMIT, async () => {
    const sent = [];
    const { behest } = setUp(({ body }) => {
      sent.push(JSON.parse(body).messages);
      const rounds = [
        [tool(0, of(0), "f", '{"x":1}'), tool(1, of(1), "f", '{"x":2}'), ...end("tool_calls")],
        [tool(0, of(2), "f", '{"x":3}'), tool(1, of(3), "f", '{"x":4}'), ...end("tool_calls")],
      ];
      return lab.stream(rounds[sent.length - 1] ?? [lab.delta("Done"), ...end()]);
    });
    const transport = new BehestChatTransport(behest, { tools: { f: { run: ({ x }) => 10 * x } } });
    const seen = [];
    for await (const part of await transport.sendMessages({ chatId: "c", messages: question })) seen.push(part);
    const all = (type) => seen.filter((part) => part.type === type);
    const ids = all("tool-input-available").map(({ toolCallId }) => toolCallId);
    assert.equal(new Set(ids).size, 4);
    assert.ok(ids.every((id) => id));
    const outputs = all("tool-output-available").map(({ toolCallId, output }) => [toolCallId, output]);
    assert.deepEqual(outputs, ids.map((id, call) => [id, 10 * (call + 1)]));
    assert.ok(all("tool-input-start").every(({ toolCallId }, place, starts) => starts.findIndex((other) => other.toolCallId === toolCallId) === place));
    const [, ...answers] = sent[2];
    const called = answers.flatMap(({ tool_calls: calls }) => calls ?? []).map(({ id }) => id);
    const given = answers.filter(({ role }) => role === "tool").map(({ tool_call_id: id, content }) => [id, content]);
    assert.deepEqual([called, given], [ids, ids.map((id, call) => [id, `${10 * (call + 1)}`])]);
  });
}

test("of several calls the AI SDK's transport runs those that it can, and leaves the others to the page", LIMIT, async () => {
  const { behest } = setUp(() => lab.stream([tool(0, "a", "now", "{}"), tool(1, "b", "pick", "{}"), ...end("tool_calls")]));
  const transport = new BehestChatTransport(behest, { tools: { now: { run: () => "noon" }, pick: {} } });
  const seen = [];
  for await (const part of await transport.sendMessages({ chatId: "c", messages: question })) seen.push(part);
  const told = seen.slice(-3).map(({ type, toolCallId, output, finishReason }) => [type, toolCallId ?? finishReason, output]);
  assert.deepEqual(told, [["finish-step", undefined, undefined], ["tool-output-available", "a", "noon"], ["finish", "tool-calls", undefined]]);
});

test("what went wrong beside an answer has its words, and the answer that met its limit before it began is none", LIMIT, async () => {
  // OpenRouter's.
  const error = { code: 502, message: "the provider went away" };
  const body = { choices: [{ index: 0, message: { content: "Hel" }, finish_reason: "error", error }] };
  for (const call of [(behest) => behest.ask("Hi!"), (behest) => behest.chat.completions.create({ messages })]) {
    await assert.rejects(call(setUp(() => lab.json(200, body)).behest), /the provider went away/);
  }
  const event = lab.event({ choices: [{ index: 0, delta: { content: "" }, finish_reason: "error", error }] });
  const none = lab.event({ choices: [{ index: 0, delta: { content: "Hello" }, error: null }] });
  for (const way of [(stream) => stream, (stream) => stream.text()]) {
    const stream = await streamOf(setUp(() => lab.stream([none, event])).behest);
    await assert.rejects(async () => {
      for await (const _ of way(stream));
    }, /the provider went away/);
    assert.deepEqual([stream.outcome, stream.content], ["failed", "Hello"]);
  }
  const spent = (content) => setUp(() => lab.json(200, { choices: [{ index: 0, message: { content }, finish_reason: "length" }] })).behest;
  await assert.rejects(spent("").ask("Hi!"), /token limit.*a higher limit/);
  assert.equal(await spent("Hel").ask("Hi!"), "Hel");
});

test("refusals in lists have their words", LIMIT, async () => {
  const bodies = [
    [{ error: { code: 400, message: "that key is not valid", status: "INVALID_ARGUMENT" } }],
    { success: false, error: [{ code: 2001, message: "that key is not valid" }] },
  ];
  for (const body of bodies) {
    await assert.rejects(setUp(() => lab.json(400, body)).behest.ask("Hi!"), /answered 400: that key is not valid/);
  }
  const filtered = { error: { code: "content_filter", message: "the prompt was filtered", status: 400 } };
  await assert.rejects(setUp(() => lab.json(400, filtered)).behest.ask("Hi!"), fails("content_blocked"));
});

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
