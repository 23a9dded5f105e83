/** The chat store, in Node.js, against a scripted world: turns, tools, structured output, threads, users. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";

import * as v from "valibot";
import { z } from "zod";

import { installed, lab, setUp, until } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";

const { chatStore } = await installed.load("chat.js");

function setting(options = {}) {
  const { world, behest } = setUp(undefined, { maxRetries: 0 });
  const chat = chatStore(behest, options);
  const seen = [];
  chat.subscribe((state) => seen.push(state));
  return { world, behest, chat, seen };
}

/** Mints work, chats are answered in turn, the last one again and again. */
function answers(world, ...replies) {
  let next = 0;
  world.serve((request, world) => {
    if (lab.isMint(request)) return lab.bundle(`token-${world.mints}`);
    const reply = replies[Math.min(next++, replies.length - 1)];
    return typeof reply === "function" ? reply(request) : reply;
  });
}

const says = (...texts) => lab.stream([...texts.map(lab.delta), lab.finish()]);
const bodies = (world) =>
  world.requests.filter((request) => request.url.endsWith("/chat/completions")).map(({ body }) => JSON.parse(body));
const spoken = (messages) => messages.map(({ role, content }) => `${role}: ${content}`);

const calls = (...made) =>
  lab.stream([
    ...made.map(([name, args], index) =>
      lab.event({
        id: "c",
        choices: [
          {
            index: 0,
            delta: { tool_calls: [{ index, id: `call-${index}`, type: "function", function: { name, arguments: args } }] },
            finish_reason: null,
          },
        ],
      }),
    ),
    lab.finish("tool_calls"),
  ]);

test("a turn: asked, streaming, complete; states that were told never change", LIMIT, async () => {
  const finished = [];
  const { world, chat, seen } = setting({
    model: "m-1",
    system: "Be brief.",
    body: { temperature: 0 },
    onFinish: (turn) => finished.push(turn),
  });
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
  answers(world, lab.stream([lab.delta("Hel"), lab.delta("lo"), lab.finish(), lab.event({ id: "c1", choices: [], usage })]));
  const turn = await chat.send("  Hi!  ");
  assert.equal(turn.outcome, "complete");
  assert.equal(turn.message.content, "Hello");
  assert.deepEqual(turn.message.info.finishReason, "stop");
  assert.deepEqual(finished, [turn]);
  const statuses = seen.map(({ status }) => status).filter((status, index, all) => status !== all[index - 1]);
  assert.deepEqual(statuses, ["ready", "submitted", "streaming", "ready"]);
  assert.deepEqual(spoken(chat.messages), ["user: Hi!", "assistant: Hello"]);
  assert.deepEqual(spoken(seen.find(({ status }) => status === "streaming").messages), ["user: Hi!", "assistant: Hel"]);
  const [body] = bodies(world);
  assert.deepEqual(
    [body.model, body.temperature, body.stream, body.stream_options],
    ["m-1", 0, true, { include_usage: true }],
  );
  assert.deepEqual(body.messages, [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hi!" },
  ]);
  await chat.send("More");
  assert.deepEqual(
    bodies(world)[1].messages.map(({ content }) => content),
    ["Be brief.", "Hi!", "Hello", "More"],
  );
  assert.equal(world.mints, 1);
});

test("many pieces are told of few times, and all of them in the end", LIMIT, async () => {
  const { world, chat, seen } = setting();
  const texts = Array.from({ length: 500 }, (_, index) => `${index} `);
  answers(world, says(...texts));
  await chat.send("Count");
  assert.equal(seen.at(-1).messages.at(-1).content, texts.join(""));
  assert.ok(seen.length < 100, `told ${seen.length} times`);
});

test("only one turn at a time, and nothing for an empty question", LIMIT, async () => {
  const { world, chat } = setting();
  answers(world, says("One"));
  const [first, second, empty] = await Promise.all([chat.send("a"), chat.send("b"), chat.send("   ")]);
  assert.deepEqual([first.outcome, second.outcome, empty.outcome], ["complete", "ignored", "ignored"]);
  assert.deepEqual(spoken(chat.messages), ["user: a", "assistant: One"]);
  assert.equal((await chat.regenerate()).outcome, "complete");
});

test(
  "stop before the first byte and in the middle: aborted, no error, what came stays, and the next turn begins at once",
  LIMIT,
  async () => {
    const called = [];
    const { world, chat } = setting({ onFinish: () => called.push("finish"), onError: () => called.push("error") });
    answers(world, lab.hang(), () => lab.stream([lab.delta("Half"), lab.STALL]), says("Whole"));
    const early = chat.send("a");
    await until(() => bodies(world).length === 1);
    chat.stop();
    assert.deepEqual([chat.status, chat.outcome, chat.error], ["ready", "aborted", null]);
    assert.deepEqual(spoken(chat.messages), ["user: a"]);
    assert.equal((await early).outcome, "aborted");

    const late = chat.send("b");
    await until(() => chat.messages.at(-1).content === "Half");
    chat.stop();
    const whole = chat.send("c");
    const turn = await late;
    assert.deepEqual([turn.outcome, turn.error, turn.message.content], ["aborted", null, "Half"]);
    assert.deepEqual(called, []);
    assert.equal((await whole).outcome, "complete");
    assert.deepEqual(called, ["finish"]);
    assert.deepEqual(spoken(chat.messages), ["user: a", "user: b", "assistant: Half", "user: c", "assistant: Whole"]);
    const requests = world.requests.filter((request) => !lab.isMint(request));
    assert.deepEqual(
      requests.map(({ cancelled }) => cancelled),
      [true, true, false],
    );
  },
);

test("a failed turn leaves no empty answer, keeps what came, and can be tried again", LIMIT, async () => {
  const failed = [];
  const { world, chat } = setting({ onError: (error) => failed.push(error.reason) });
  answers(
    world,
    lab.json(503, { error: { message: "down" } }),
    () => lab.stream([lab.delta("Half"), lab.CUT]),
    says("Whole"),
  );
  const turn = await chat.send("a");
  assert.deepEqual([turn.outcome, turn.error.reason, turn.message], ["failed", "server_error", null]);
  assert.deepEqual([chat.status, chat.error], ["error", turn.error]);
  assert.deepEqual(spoken(chat.messages), ["user: a"]);
  const cut = await chat.regenerate();
  assert.deepEqual([cut.outcome, cut.error.reason, cut.message.content], ["disconnected", "disconnected", "Half"]);
  assert.equal((await chat.regenerate()).message.content, "Whole");
  assert.deepEqual([chat.status, chat.error], ["ready", null]);
  assert.deepEqual(spoken(chat.messages), ["user: a", "assistant: Whole"]);
  assert.deepEqual(failed, ["server_error", "disconnected"]);
});

test("regenerate and edit ask in place of what was there", LIMIT, async () => {
  const { world, chat } = setting();
  answers(world, says("1"), says("2"), says("3"), says("4"));
  await chat.send("a");
  await chat.send("b");
  await chat.regenerate();
  assert.deepEqual(spoken(chat.messages), ["user: a", "assistant: 1", "user: b", "assistant: 3"]);
  await chat.edit(chat.messages[0].id, "A");
  assert.deepEqual(spoken(chat.messages), ["user: A", "assistant: 4"]);
  assert.equal((await chat.edit("nobody", "x")).outcome, "ignored");
  for (const empty of ["", " \n", [], undefined]) assert.equal((await chat.edit(chat.messages[0].id, empty)).outcome, "ignored");
  assert.deepEqual(spoken(chat.messages), ["user: A", "assistant: 4"]);
  chat.clear();
  assert.equal((await chat.regenerate()).outcome, "ignored");
});

test("tools run by themselves, together; what goes wrong is told to the model", LIMIT, async () => {
  const ran = [];
  const { world, chat } = setting({
    tools: {
      add: {
        description: "Adds",
        parameters: z.object({ a: z.number(), b: z.number() }),
        run: ({ a, b }, { signal, toolCallId }) => {
          ran.push([a, b, signal instanceof AbortSignal, toolCallId]);
          return { sum: a + b };
        },
      },
      fail: { run: async () => Promise.reject(new Error("it broke")) },
      bare: () => "text",
      silent: () => {},
    },
  });
  answers(
    world,
    calls(["add", '{"a":1,"b":2}'], ["add", '{"a":"x"}'], ["fail", "{}"], ["bare", ""], ["toString", "{}"], ["add", "{"], ["silent", "{}"]),
    says("Done"),
  );
  const turn = await chat.send("Go");
  assert.equal(turn.message.content, "Done");
  assert.deepEqual(ran, [[1, 2, true, "call-0"]]);
  const [first, second] = bodies(world);
  assert.deepEqual(
    first.tools.map((tool) => tool.function.name),
    ["add", "fail"],
  );
  assert.deepEqual(first.tools[0].function.parameters.required, ["a", "b"]);
  const results = second.messages.filter(({ role }) => role === "tool").map(({ content }) => content);
  assert.equal(results[0], '{"sum":3}');
  assert.match(results[1], /arguments of add does not fit its schema: a: /);
  assert.equal(results[2], '{"error":"it broke"}');
  assert.equal(results[3], "text");
  assert.equal(results[4], '{"error":"there is no tool toString"}');
  assert.match(results[5], /arguments of add is not JSON/);
  assert.equal(results[6], "null");
  assert.equal(second.messages.find(({ tool_calls }) => tool_calls).tool_calls.length, 7);
});

test("tools have a limit of rounds, and one without a function is the application's", LIMIT, async () => {
  const { world, chat } = setting({ maxRounds: 2, tools: { again: () => "once more" } });
  answers(world, calls(["again", "{}"]));
  const turn = await chat.send("Go");
  assert.deepEqual([turn.error.reason, bodies(world).length], ["budget_exhausted", 2]);

  const own = setting({ tools: { pick: { description: "The user picks" } } });
  answers(own.world, calls(["pick", "{}"]), says("Fine"));
  const asked = await own.chat.send("Go");
  assert.deepEqual([asked.outcome, asked.error, asked.message.tool_calls[0].function.name], ["tool_calls", null, "pick"]);
  const answered = await own.chat.send({ role: "tool", tool_call_id: "call-0", content: "red" });
  assert.equal(answered.message.content, "Fine");
  assert.deepEqual(
    bodies(own.world)[1].messages.map(({ role }) => role),
    ["user", "assistant", "tool"],
  );
});

test("of several calls those run that can, and the others are the application's", LIMIT, async () => {
  for (const threadId of [undefined, "t-1"]) {
    const { world, chat } = setting({ threadId, messages: [], tools: { pick: { description: "The user picks" }, now: () => "noon" } });
    const replies = [calls(["now", "{}"], ["pick", "{}"]), says("Fine")];
    world.serve((request) => (lab.isMint(request) ? lab.bundle() : request.method === "GET" ? lab.json(200, []) : replies.shift()));
    const asked = await chat.send("Go");
    assert.deepEqual([asked.outcome, asked.error, asked.message.tool_calls.length], ["tool_calls", null, 2]);
    assert.deepEqual(chat.messages.map(({ role }) => role), ["user", "assistant", "tool"]);
    const answered = await chat.send({ role: "tool", tool_call_id: "call-1", content: "red" });
    assert.equal(answered.message.content, "Fine");
    const given = bodies(world)[1].messages.filter(({ role }) => role === "tool");
    assert.deepEqual(given.map((message) => [message.tool_call_id, message.content]), [["call-0", "noon"], ["call-1", "red"]]);
  }
});

test("stop while a tool runs: the call is answered for, and the conversation goes on", LIMIT, async () => {
  let signalled;
  const { world, chat } = setting({
    tools: {
      slow: (_args, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject((signalled = signal.reason)))),
    },
  });
  answers(world, calls(["slow", "{}"]), says("On"));
  const turn = chat.send("Go");
  await until(() => chat.messages.at(-1).tool_calls);
  await new Promise((resolve) => setImmediate(resolve));
  chat.stop();
  assert.equal((await turn).outcome, "aborted");
  assert.ok(signalled);
  assert.equal((await chat.send("On")).message.content, "On");
  const roles = bodies(world)[1].messages.map(({ role, content }) => `${role} ${content}`);
  assert.deepEqual(roles, ["user Go", "assistant null", 'tool {"error":"it was stopped"}', "user On"]);
});

test("a listener may stop a turn as it begins, and before its tools run", LIMIT, async () => {
  let ran = 0;
  const { world, chat } = setting({ tools: { f: () => (ran += 1) } });
  answers(world, calls(["f", "{}"]), says("Fine"));
  let unwanted = ({ status }) => status === "submitted";
  chat.subscribe((state) => unwanted(state) && chat.stop());
  assert.equal((await chat.send("Go")).outcome, "aborted");
  assert.deepEqual([chat.status, chat.getSnapshot().status, bodies(world).length], ["ready", "ready", 0]);
  unwanted = ({ messages }) => messages.at(-1)?.tool_calls;
  assert.equal((await chat.send("Go")).outcome, "aborted");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([chat.status, ran], ["ready", 0]);
});

test("a call that was stopped is answered for, also with the id of one that was not", LIMIT, async () => {
  let stop = () => {};
  const { world, chat } = setting({ tools: { f: () => (stop(), "7") } });
  answers(world, calls(["f", "{}"]), says("One"), calls(["f", "{}"]), says("Two"), calls(["f", "{}"]), says("Three"));
  const given = () =>
    bodies(world)
      .at(-1)
      .messages.filter(({ role }) => role === "tool")
      .map(({ content }) => content);
  const stopped = '{"error":"it was stopped"}';
  await chat.send("Go");
  stop = chat.stop;
  assert.equal((await chat.send("Go")).outcome, "aborted");
  stop = () => {};
  assert.equal((await chat.send("On")).message.content, "Two");
  assert.deepEqual(given(), ["7", stopped]);
  await chat.send("Go");
  assert.deepEqual(given(), ["7", stopped, "7"]);
});

test("thousands of blanks, as models write that have gone astray, are read through once", LIMIT, async () => {
  const { jsonOf } = await installed.load("lib/chat/schema.js");
  const blanks = " \n".repeat(20_000);
  assert.deepEqual(jsonOf(`${blanks}\`\`\`json${blanks}[1]${blanks}\`\`\`${blanks}`, "it"), [1]);
  const read = () => assert.throws(() => jsonOf(`\`\`\`${blanks}!`, "it"), { reason: "invalid_response" });
  // What tried every way to divide them would be at it for hours.
  runInNewContext("read()", { read }, LIMIT);
});

test("structured output: the schema is sent, the answer is checked, what does not fit is a typed error", LIMIT, async () => {
  const schema = z.object({ name: z.string(), age: z.number() });
  const { world, chat } = setting();
  answers(
    world,
    says('{"name":"Ada",', '"age":36}'),
    says('{"name":5}'),
    says("no JSON"),
    says('```json\n{"name":"Ada","age":1}\n```'),
  );
  const good = await chat.send("Who?", { schema });
  assert.deepEqual([good.error, good.data], [null, { name: "Ada", age: 36 }]);
  const { response_format: format } = bodies(world)[0];
  assert.equal(format.type, "json_schema");
  assert.deepEqual(Object.keys(format.json_schema.schema.properties), ["name", "age"]);
  const bad = await chat.send("Who?", { schema });
  assert.deepEqual([bad.outcome, bad.data, bad.error.reason, chat.status], ["complete", null, "invalid_response", "error"]);
  assert.match(bad.error.message, /name: /);
  assert.ok(Array.isArray(bad.error.cause));
  assert.equal((await chat.send("Who?", { schema })).error.reason, "invalid_response");
  assert.deepEqual((await chat.send("Who?", { schema })).data, { name: "Ada", age: 1 });

  // Every Standard Schema: valibot's own does not tell its JSON Schema, and the error says what to do.
  const unknown = await chat.send("Who?", { schema: v.object({ name: v.string() }) });
  assert.deepEqual([unknown.error.reason, /toStandardJsonSchema/.test(unknown.error.message)], ["invalid_config", true]);
  const told = v.object({ name: v.string() });
  const jsonSchema = { input: () => ({ type: "object" }), output: () => ({ type: "object" }) };
  const withJson = { "~standard": { ...told["~standard"], jsonSchema } };
  answers(world, says('{"name":"Grace"}'));
  assert.deepEqual((await chat.send("Who?", { schema: withJson })).data, { name: "Grace" });
});

test(
  "a thread: fetched once, only what is new is sent, another thread ends the answer and mixes nothing",
  LIMIT,
  async () => {
    const { world, chat } = setting({ threadId: "t-1" });
    const stored = {
      "t-1": [
        { role: "user", content: "before" },
        { role: "assistant", content: "then" },
      ],
      "t-2": { messages: [] },
    };
    let chatReply = says("new");
    const serve = (request) => {
      if (lab.isMint(request)) return lab.bundle();
      const [, thread] = /threads\/(.*)\/messages/.exec(request.url) ?? [];
      return thread ? (stored[thread] ? lab.json(200, stored[thread]) : lab.json(404, { error: "none" })) : chatReply;
    };
    world.serve(serve);
    await chat.send("now");
    assert.deepEqual(spoken(chat.messages), ["user: before", "assistant: then", "user: now", "assistant: new"]);
    await chat.send("and");
    assert.deepEqual(
      bodies(world).map(({ messages }) => messages.map(({ content }) => content)),
      [["now"], ["and"]],
    );
    const [request] = world.requests.filter(({ url }) => url.endsWith("/chat/completions"));
    assert.equal(request.headers["x-thread-id"], "t-1");

    chatReply = () => lab.stream([lab.delta("Half"), lab.STALL]);
    world.serve((request) => (request.url.endsWith("/chat/completions") ? chatReply() : serve(request)));
    const turn = chat.send("left behind");
    await until(() => chat.messages.at(-1).content === "Half");
    const going = chat.setThread("t-2");
    assert.deepEqual([chat.messages.length, chat.getSnapshot().loading], [0, true]);
    assert.equal((await turn).outcome, "aborted");
    await going;
    assert.deepEqual([chat.messages.length, chat.getSnapshot().loading], [0, false]);

    // A new thread begins with its first question; of two quick changes the later one counts.
    const [first, second] = [chat.setThread("t-1"), chat.setThread("new")];
    await Promise.all([first, second]);
    assert.deepEqual([chat.threadId, chat.messages.length, chat.error], ["new", 0, null]);

    stored.odd = { threads: "?" };
    await chat.setThread("odd");
    assert.deepEqual([chat.status, chat.error.reason], ["error", "invalid_response"]);
    await chat.setThread(null);
    assert.deepEqual([chat.status, chat.threadId], ["ready", undefined]);
  },
);

test("a conversation belongs to its user: under another one nothing of it is sent, until it is cleared", LIMIT, async () => {
  const { world, chat } = setting();
  answers(world, says("Hello"));
  await chat.send("a secret");
  world.signedIn("user-2");
  const turn = await chat.send("what did I say?");
  assert.equal(turn.error.reason, "user_changed");
  assert.equal(bodies(world).length, 1);
  chat.clear();
  assert.equal((await chat.send("Hi")).outcome, "complete");
  assert.deepEqual(bodies(world)[1].messages, [{ role: "user", content: "Hi" }]);
});

test("options can change, messages can be set, and what is no client is refused", LIMIT, async () => {
  const { world, chat } = setting({ messages: [{ role: "assistant", content: "Welcome" }] });
  answers(world, says("1"));
  chat.configure({ model: "m-2" });
  await chat.send("a");
  assert.equal(bodies(world)[0].model, "m-2");
  chat.setMessages((messages) => messages.slice(0, 1));
  assert.deepEqual(spoken(chat.messages), ["assistant: Welcome"]);
  assert.ok(chat.messages[0].id);
  assert.throws(() => chatStore({}), { reason: "invalid_config" });
});

/** A store whose thread's messages wait until `release`. */
function hydrating() {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const given = setting({ threadId: "one" });
  given.world.serve(async (request, world) => {
    if (!request.url.includes("/threads/")) return lab.defaultReply(request, world);
    await held;
    return lab.json(200, { messages: [{ id: "m", role: "user", content: "of before" }] });
  });
  return { ...given, release };
}

test("what waits for its thread is not asked after `stop`, nor of another thread", LIMIT, async () => {
  const leave = {
    stop: ({ chat }) => chat.stop(),
    clear: ({ chat }) => chat.clear(),
    setThread: ({ chat }) => chat.setThread("two", [{ role: "user", content: "of two" }]),
  };
  for (const [name, away] of Object.entries(leave)) {
    const given = hydrating();
    const turn = given.chat.send("of one");
    await away(given);
    given.release();
    assert.equal((await turn).outcome, "aborted", name);
    assert.deepEqual(bodies(given.world), [], name);
    assert.equal((await given.chat.send("on")).outcome, "complete", name);
    assert.ok(!given.chat.messages.some(({ content }) => content === "of one"), name);
  }
});

test("a thread that is come back to is not what its former reading says", LIMIT, async () => {
  const readings = [];
  const { world, chat } = setting({ threadId: "a" });
  world.serve((request) => (lab.isMint(request) ? lab.bundle() : new Promise((answer) => readings.push(answer))));
  await until(() => readings.length === 1);
  for (const id of ["b", "a"]) {
    const before = readings.length;
    void chat.setThread(id);
    await until(() => readings.length > before);
  }
  readings[0](lab.json(403, "{}"));
  readings[1](lab.json(200, [{ role: "user", content: "of b" }]));
  readings[2](lab.json(200, [{ role: "user", content: "of a" }]));
  await until(() => !chat.getSnapshot().loading);
  assert.deepEqual([spoken(chat.messages), chat.status, chat.error], [["user: of a"], "ready", null]);
});

test("a listener or callback that throws harms no turn, no other listener and no later one", LIMIT, async (t) => {
  const thrown = [];
  const { queueMicrotask: really } = globalThis;
  t.mock.method(globalThis, "queueMicrotask", (then) =>
    really(() => {
      try {
        then();
      } catch (error) {
        thrown.push(error.message);
      }
    }),
  );
  const fail = (what) => () => {
    throw new Error(what);
  };
  const { world, chat } = setting({ onFinish: fail("onFinish"), onError: fail("onError") });
  let listen = () => {};
  chat.subscribe((state) => listen(state));
  const seen = [];
  chat.subscribe((state) => seen.push(state.status));
  listen = fail("listener");
  answers(world, says("Hello"), lab.json(400, "{}"));
  assert.equal((await chat.send("Hi!")).outcome, "complete");
  assert.equal((await chat.send("Again.")).outcome, "failed");
  assert.deepEqual([chat.status, seen.at(-1)], ["error", "error"]);
  assert.deepEqual(new Set(thrown), new Set(["listener", "onFinish", "onError"]));
});

test("a thread whose messages are none is an error of its own, and asks go on", LIMIT, async () => {
  for (const messages of [[null], ["words"], [{ content: "of nobody" }]]) {
    const { world, chat, seen } = setting({ threadId: "one" });
    world.serve((request, world) => (request.url.includes("/threads/") ? lab.json(200, { messages }) : lab.defaultReply(request, world)));
    await until(() => seen.at(-1).error);
    assert.deepEqual([seen.at(-1).loading, seen.at(-1).error.reason], [false, "invalid_response"]);
    assert.equal((await chat.send("Hi!")).outcome, "complete");
  }
});
