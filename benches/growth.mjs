/**
 * How each cost grows: CPU time by the length of the answer, of the history, by the number of streams at once, and by the keys
 * in the project's key set. One line for each point; `cargo xtask bench --growth` fits and draws them.
 */
import { execFileSync } from "node:child_process";

import { cut, MODEL, streamOf } from "./lib/chat.mjs";
import { cpuInNode } from "./lib/in-node.mjs";
import { accessToken, BEHEST_URL, jsonAnswer, memoryServer, streamedAnswer, SUPABASE_URL } from "./lib/memory-server.mjs";
import { medians } from "./lib/rounds.mjs";
import { importPackage, progress, QUICK, report, withPackage } from "./lib/setting.mjs";

const ROUNDS = QUICK ? 5 : 11;
/** Sizes are told apart by four, so that no curve hides between them. */
const EVENTS = [500, 2_000, 8_000, 32_000, 128_000];
const MESSAGES = [64, 256, 1_024, 4_096, 16_384];
const STREAMS = [1, 4, 16, 64, 256];
/** Of each stream of many, and of the answer in a chat. */
const PIECES = 40;

const question = { role: "user", content: "Tell me a story." };
const history = (length) =>
  Array.from({ length }, (_, index) => ({
    role: index % 2 === 0 ? "user" : "assistant",
    content: `${index}: ${"words of a question or of its answer, ".repeat(5)}`,
  }));

await withPackage(async (installed) => {
  const { createClient } = await importPackage(installed);
  const { chatStore } = await import(new URL(`file://${installed.packageFolder}/chat.js`).href);
  const cpu = cpuInNode();
  const session = accessToken();
  const client = (answer) =>
    createClient({ supabaseUrl: SUPABASE_URL, behestUrl: BEHEST_URL, getAccessToken: () => session, fetch: memoryServer(answer).fetch });

  /**
   * Each size once in each round; `prepare(size)` gives the work that is measured. Small work is done so often that it takes as
   * long as the clock of CPU times needs, which on some machines ticks every 4 ms.
   */
  async function grow(plot, series, sizes, prepare) {
    progress(`${plot}: ${series}`);
    const works = Object.fromEntries(sizes.map((size) => [size, prepare(size)]));
    const often = (size) => Math.max(1, Math.round(sizes.at(-1) / size / 4));
    const costs = await medians(sizes.map(String), ROUNDS, async (size) => {
      const times = often(size);
      const all = await cpu(async () => {
        for (let time = 0; time < times; time += 1) await works[size]();
      });
      return all / times;
    });
    for (const size of sizes) report({ plot, series, size, cost: costs[size] });
  }

  const read = async (pieces, expected) => {
    let length = 0;
    for await (const piece of pieces) length += typeof piece === "string" ? piece.length : (piece.choices[0]?.delta?.content ?? "").length;
    if (length !== expected) throw new Error(`${length} characters came, ${expected} were sent`);
  };
  const streaming = (count, size) => {
    const { events, text } = streamOf(count);
    const chunks = cut(events, size);
    return { behest: client(() => streamedAnswer(chunks)), length: text.length };
  };

  await grow("answer", "text", EVENTS, (count) => {
    const { behest, length } = streaming(count, 4096);
    return async () => read((await behest.chat.completions.create({ model: MODEL, messages: [question], stream: true })).text(), length);
  });
  await grow("answer", "OpenAI's chunks", EVENTS, (count) => {
    const { behest, length } = streaming(count, 4096);
    return async () => read(await behest.chat.completions.create({ model: MODEL, messages: [question], stream: true }), length);
  });
  await grow("answer", "an answer in one piece", EVENTS, (count) => {
    const { text } = streamOf(count);
    const behest = client(jsonAnswer(text));
    return async () => {
      const { choices } = await behest.chat.completions.create({ model: MODEL, messages: [question] });
      if (choices[0].message.content !== text) throw new Error("another answer than was sent");
    };
  });

  await grow("history", "a call with so many messages", MESSAGES, (count) => {
    const behest = client(jsonAnswer("Hi."));
    const messages = [...history(count - 1), question];
    return () => behest.chat.completions.create({ model: MODEL, messages });
  });
  await grow("history", "a turn of the chat store", MESSAGES, (count) => {
    const { events } = streamOf(PIECES);
    const chunks = cut(events, null);
    const behest = client(() => streamedAnswer(chunks));
    const messages = history(count - 1);
    return async () => {
      const store = chatStore(behest, { messages });
      store.subscribe(() => {});
      const { outcome } = await store.send(question.content);
      if (outcome !== "complete") throw new Error(`the turn ended with ${outcome}`);
    };
  });

  await grow("streams", `so many at once, ${PIECES} pieces each`, STREAMS, (count) => {
    const { behest, length } = streaming(PIECES, null);
    return async () => {
      const open = () => behest.chat.completions.create({ model: MODEL, messages: [question], stream: true });
      const streams = await Promise.all(Array.from({ length: count }, open));
      const readers = streams.map((stream) => stream.text()[Symbol.asyncIterator]());
      let came = 0;
      // In turns, so that all are open from the first piece to the last.
      for (let left = readers; left.length > 0; ) {
        const pieces = await Promise.all(left.map((reader) => reader.next()));
        for (const { value } of pieces) came += value?.length ?? 0;
        left = left.filter((_, index) => !pieces[index].done);
      }
      if (came !== length * count) throw new Error(`${came} characters came, ${length * count} were sent`);
    };
  });
});

progress("keys: the server module, natively");
process.stdout.write(execFileSync(process.env.SERVER_BENCH, ["keys", String(ROUNDS)], { encoding: "utf8" }));
