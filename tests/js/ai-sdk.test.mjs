/** The AI SDK's useChat over BehestChatTransport, in Chromium: the whole of its UI without a backend. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.mjs";
import { openBundle } from "./support/bundled-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";

/** `ai` 6 with its hooks, and `ai` 7 with its own. */
const VERSIONS = { 6: {}, 7: { ai: "ai-7", "@ai-sdk/react": "ai-sdk-react-4" } };

let installed;
let browser;
/** The page of each version, with the scenarios below. */
const opened = {};

before(async () => {
  installed = await installPackage();
  browser = await launch();
  for (const [version, alias] of Object.entries(VERSIONS))
    opened[version] = await openBundle(browser, installed, "ai-sdk.jsx", { alias });
});
after(async () => {
  for (const page of Object.values(opened)) await page.close();
  await browser?.close();
  await installed?.remove();
});

/** A scenario in the page; what it gives is compared, and the console must have nothing to complain of. */
function scenario(name, run, expected) {
  for (const version of Object.keys(VERSIONS)) {
    test(`${name} (ai ${version})`, LIMIT, async () => {
      const { page, complaints } = opened[version];
      assert.deepEqual(await page.evaluate(run), expected);
      assert.deepEqual(complaints.splice(0), []);
    });
  }
}

scenario(
  "send: reasoning and text stream in, metadata says what it cost, and the next request has the history",
  async () => {
    const { setting, mount, until, bodies, lab } = app;
    const { world, behest } = setting();
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const thinks = (text) =>
      lab.event({ id: "c", choices: [{ index: 0, delta: { reasoning_content: text }, finish_reason: null }] });
    world.serve((request) =>
      lab.isMint(request)
        ? lab.bundle()
        : lab.stream([
            thinks("Hm"),
            thinks("m"),
            lab.delta("Hel"),
            lab.delta("lo"),
            lab.finish(),
            lab.event({ id: "c", choices: [], usage }),
          ]),
    );
    const { seen, unmount } = mount(behest, { system: "Be brief.", body: { temperature: 0 } });
    await until(() => seen.now);
    await seen.now.sendMessage({ text: "Hi!" });
    await until(() => seen.now.status === "ready" && seen.now.messages.length === 2);
    const { parts, metadata } = seen.now.messages[1];
    await seen.now.sendMessage({
      parts: [
        { type: "text", text: "And this?" },
        { type: "file", mediaType: "image/png", url: "data:image/png;base64,AA==" },
      ],
    });
    unmount();
    const [first, second] = bodies(world);
    return {
      parts: parts.map(({ type, text, state }) => [type, text ?? null, state ?? null]),
      metadata: [metadata.outcome, metadata.usage.total_tokens, metadata.sessionId.length > 0],
      asked: seen.said.includes("submitted"),
      first: [first.messages, first.temperature, first.model],
      second: second.messages.slice(1),
      mints: world.mints,
    };
  },
  {
    parts: [
      ["step-start", null, null],
      ["reasoning", "Hmm", "done"],
      ["text", "Hello", "done"],
    ],
    metadata: ["complete", 3, true],
    asked: true,
    first: [
      [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi!" },
      ],
      0,
      "default",
    ],
    second: [
      { role: "user", content: "Hi!" },
      { role: "assistant", content: "Hello" },
      {
        role: "user",
        content: [
          { type: "text", text: "And this?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
        ],
      },
    ],
    mints: 1,
  },
);

scenario(
  "stop: before the head and in the middle; what came stays, and the wire is free",
  async () => {
    const { setting, mount, until, chats, lab } = app;
    const { world, behest } = setting();
    let reply = lab.hang;
    world.serve((request) => (lab.isMint(request) ? lab.bundle() : reply()));
    const { seen, unmount } = mount(behest);
    await until(() => seen.now);
    const early = seen.now.sendMessage({ text: "a" });
    await until(() => chats(world).length === 1);
    await seen.now.stop();
    await early;
    await until(() => seen.now.status === "ready");
    const first = [seen.now.error, seen.now.messages.length];
    reply = () => lab.stream([lab.delta("Half"), lab.STALL]);
    const late = seen.now.sendMessage({ text: "b" });
    await until(() => seen.now.messages.at(-1).parts.at(-1)?.text === "Half");
    await seen.now.stop();
    await late;
    await until(() => seen.now.status === "ready");
    const second = [seen.now.error, seen.now.messages.at(-1).parts.at(-1).text];
    unmount();
    return [first, second, chats(world).map(({ cancelled }) => cancelled)].map((part) => part.map((value) => value ?? null));
  },
  [
    [null, 1],
    [null, "Half"],
    [true, true],
  ],
);

scenario(
  "regenerate, and errors keep their type: before the answer, and in its middle",
  async () => {
    const { setting, mount, until, bodies, lab } = app;
    const { world, behest } = setting();
    const replies = [
      lab.json(402, { error: { code: "quota_exceeded", message: "spent" } }),
      lab.stream([lab.delta("Half"), lab.CUT]),
      lab.stream([lab.delta("Whole"), lab.finish()]),
    ];
    world.serve((request) => (lab.isMint(request) ? lab.bundle() : replies.shift()));
    const { seen, unmount } = mount(behest);
    await until(() => seen.now);
    await seen.now.sendMessage({ text: "a" });
    await until(() => seen.now.status === "error");
    const before = [seen.now.error.reason, seen.now.error.action];
    await seen.now.regenerate();
    await until(() => seen.now.error?.reason === "disconnected");
    const half = seen.now.messages.at(-1).parts.at(-1).text;
    await seen.now.regenerate();
    await until(() => seen.now.status === "ready");
    const whole = seen.now.messages.map(({ role, parts }) => `${role}: ${parts.at(-1).text}`);
    unmount();
    return [before, half, whole, bodies(world).map(({ messages }) => messages.length)];
  },
  [["quota_exceeded", "upgrade"], "Half", ["user: a", "assistant: Whole"], [1, 1, 1]],
);

scenario(
  "a tool of the transport's runs by itself, in a step of the same message",
  async () => {
    const { setting, mount, until, bodies, calls, lab } = app;
    const { world, behest } = setting();
    const replies = [calls("add", '{"a":1,"b":2}'), lab.stream([lab.delta("3"), lab.finish()])];
    world.serve((request) => (lab.isMint(request) ? lab.bundle() : replies.shift()));
    const { seen, unmount } = mount(behest, {
      tools: { add: { description: "Adds", run: ({ a, b }) => ({ sum: a + b }) } },
    });
    await until(() => seen.now);
    await seen.now.sendMessage({ text: "1 + 2?" });
    await until(() => seen.now.status === "ready" && seen.now.messages.length === 2);
    const parts = seen.now.messages[1].parts.map(({ type, state, input, output, text }) => [
      type,
      state ?? null,
      input ?? null,
      output ?? text ?? null,
    ]);
    unmount();
    const [first, second] = bodies(world);
    return [
      parts,
      first.tools[0].function.name,
      second.messages.map(({ role, content, tool_call_id }) => [role, content, tool_call_id ?? null]),
    ];
  },
  [
    [
      ["step-start", null, null, null],
      ["tool-add", "output-available", { a: 1, b: 2 }, { sum: 3 }],
      ["step-start", null, null, null],
      ["text", "done", null, "3"],
    ],
    "add",
    [
      ["user", "1 + 2?", null],
      ["assistant", null, null],
      ["tool", '{"sum":3}', "call-1"],
    ],
  ],
);

scenario(
  "a tool of the page's: onToolCall, addToolOutput, and the answer goes on by itself",
  async () => {
    const { setting, mount, until, bodies, calls, lab, lastAssistantMessageIsCompleteWithToolCalls } = app;
    const { world, behest } = setting();
    const replies = [calls("pick", '{"of":"colours"}'), lab.stream([lab.delta("Red it is"), lab.finish()])];
    world.serve((request) => (lab.isMint(request) ? lab.bundle() : replies.shift()));
    const asked = [];
    const { seen, unmount } = mount(
      behest,
      { tools: { pick: { description: "The user picks" } } },
      {
        sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
        onToolCall({ toolCall }) {
          asked.push([toolCall.toolName, toolCall.input.of]);
          void seen.now.addToolOutput({ tool: "pick", toolCallId: toolCall.toolCallId, output: "red" });
        },
      },
    );
    await until(() => seen.now);
    await seen.now.sendMessage({ text: "Ask me" });
    await until(() => seen.now.status === "ready" && seen.now.messages.at(-1).parts.at(-1).text === "Red it is");
    unmount();
    return [asked, bodies(world)[1].messages.map(({ role, content }) => [role, content])];
  },
  [
    [["pick", "colours"]],
    [
      ["user", "Ask me"],
      ["assistant", null],
      ["tool", "red"],
    ],
  ],
);

scenario(
  "each chat has a session of its own, a thread if asked for; there is nothing to reconnect to",
  async () => {
    const { setting, mount, until, chats, bodies, lab } = app;
    const { world, behest } = setting();
    world.serve((request, world) =>
      lab.isMint(request) ? lab.json(200, { token: `t${world.mints}`, ttl: 900 }) : lab.defaultReply(request, world),
    );
    const one = mount(behest, { threads: true });
    await until(() => one.seen.now);
    await one.seen.now.sendMessage({ text: "a" });
    await one.seen.now.sendMessage({ text: "b" });
    await until(() => one.seen.now.messages.length === 4);
    const drained = async (chatId) => {
      const message = { id: "m", role: "user", parts: [{ type: "text", text: "x" }] };
      const reader = (await one.transport.sendMessages({ chatId, messages: [message], abortSignal: undefined })).getReader();
      while (!(await reader.read()).done);
    };
    await drained("chat-2");
    one.unmount();
    const sessions = chats(world).map(({ headers }) => headers["x-session-id"]);
    return [
      chats(world).map(({ headers }) => headers["x-thread-id"]),
      [sessions[0] === sessions[1], sessions[0] === sessions[2]],
      bodies(world).map(({ messages }) => messages.map(({ content }) => content)),
      await one.transport.reconnectToStream({ chatId: "chat-1" }),
    ];
  },
  [["chat-1", "chat-1", "chat-2"], [true, false], [["a"], ["b"], ["x"]], null],
);
