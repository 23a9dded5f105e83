/** The hooks in Chromium under StrictMode, on the oldest and the newest React: what the official hooks do, and none of their faults. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { launch } from "./support/browser.mjs";
import { openBundle } from "./support/bundled-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";

let installed;
let browser;

before(async () => {
  installed = await installPackage();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await installed?.remove();
});

const folder = (name) => path.join(import.meta.dirname, name);
const VERSIONS = {
  18: { react: folder("react-18/node_modules/react"), "react-dom": folder("react-18/node_modules/react-dom") },
  19: {},
};

for (const [version, alias] of Object.entries(VERSIONS)) {
  describe(`React ${version}`, () => {
    let opened;
    before(async () => {
      opened = await openBundle(browser, installed, "react.jsx", { alias });
    });
    after(() => opened?.close());

    /** A scenario in the page; what it gives is compared, and the console must have nothing to complain of. */
    const scenario = (name, run, expected) =>
      test(name, LIMIT, async () => {
        const { page, complaints } = opened;
        assert.deepEqual(await page.evaluate(run), expected);
        assert.deepEqual(complaints.splice(0), []);
      });

    scenario("it is the version that is meant", () => app.version.split(".")[0], version);

    scenario(
      "a conversation: seeded, asked, streamed, finished; in StrictMode nothing happens twice",
      async () => {
        const { setting, mount, until, chats, useBehestChat } = app;
        const { world, behest } = setting();
        const finished = [];
        const options = {
          messages: [{ role: "assistant", content: "Welcome" }],
          onFinish: (turn) => finished.push(turn.outcome),
        };
        const { seen, unmount } = mount(behest, () => useBehestChat(options));
        await until(() => seen.now);
        const before = [seen.now.status, seen.now.isLoading, seen.now.messages.length];
        seen.now.setInput("Hi!");
        await until(() => seen.now.input === "Hi!");
        const turn = await seen.now.send();
        await until(() => seen.now.status === "ready" && seen.now.messages.length === 3);
        const { messages, input, outcome, isLoading } = seen.now;
        await seen.now.send("  ");
        unmount();
        const said = messages.map(({ role, content }) => `${role}: ${content}`);
        return {
          before,
          turn: turn.outcome,
          said,
          input,
          outcome,
          isLoading,
          finished,
          mints: world.mints,
          chats: chats(world).length,
        };
      },
      {
        before: ["ready", false, 1],
        turn: "complete",
        said: ["assistant: Welcome", "user: Hi!", "assistant: Hello"],
        input: "",
        outcome: "complete",
        isLoading: false,
        finished: ["complete"],
        mints: 1,
        chats: 1,
      },
    );

    scenario(
      "an option that is not given any more is not kept from the render before",
      async () => {
        const { setting, mount, until, chats, useBehestChat } = app;
        const { world, behest } = setting();
        const { seen, unmount } = mount(behest, (options) => useBehestChat(options), { system: "Be brief.", model: "m" });
        await until(() => seen.now);
        await seen.now.send("one");
        const { renders } = seen;
        seen.set({ model: "m" });
        await until(() => seen.renders > renders);
        await seen.now.send("two");
        unmount();
        return chats(world).map(({ body }) => {
          const { model, messages } = JSON.parse(body);
          return [model, messages[0].role];
        });
      },
      [
        ["m", "system"],
        ["m", "user"],
      ],
    );

    scenario(
      "on a server nothing is loaded or sent, and the first render is the page's",
      async () => {
        const { setting, useBehestChat, useBehestThreads, useBehestUsage, renderToString, createElement, BehestProvider } =
          app;
        const { world, behest } = setting();
        function Page() {
          const chat = useBehestChat({ threadId: "t" });
          const { threads } = useBehestThreads();
          const { usage } = useBehestUsage();
          return `${chat.status} ${chat.messages.length} ${threads.length} ${usage}`;
        }
        const html = renderToString(createElement(BehestProvider, { client: behest }, createElement(Page)));
        await new Promise((resolve) => setTimeout(resolve));
        return [html, world.requests.length, world.sessionReads];
      },
      ["ready 0 0 undefined", 0, 0],
    );

    scenario(
      "without a provider the error says what to do; setMessages, clear, another id begin anew",
      async () => {
        const { setting, mount, until, useBehestChat, renderToString, createElement } = app;
        const { behest } = setting();
        let message;
        try {
          renderToString(createElement(() => void useBehestChat()));
        } catch (error) {
          message = /BehestProvider/.test(error.message);
        }
        const { seen, unmount } = mount(behest, ({ id }) => useBehestChat({ id }), { id: "a" });
        await until(() => seen.now);
        await seen.now.send("Hi");
        seen.now.setMessages((messages) => messages.slice(0, 1));
        await until(() => seen.now.messages.length === 1);
        seen.now.clear();
        await until(() => seen.now.messages.length === 0);
        await seen.now.send("Again");
        await until(() => seen.now.messages.length === 2);
        seen.set({ id: "b" });
        await until(() => seen.now.messages.length === 0);
        unmount();
        return message;
      },
      true,
    );

    scenario(
      "F1: options that are new with each render rebuild nothing",
      async () => {
        const { setting, mount, until, useBehestChat } = app;
        const { world, behest } = setting();
        const { seen, unmount } = mount(
          behest,
          ({ n }) => useBehestChat({ onFinish: () => {}, body: { seed: n }, tools: {} }),
          { n: 0 },
        );
        await until(() => seen.now);
        const { stop } = seen.now;
        for (let n = 1; n <= 20; n++) {
          const { renders } = seen;
          seen.set({ n });
          await until(() => seen.renders > renders);
        }
        const same = seen.now.stop === stop;
        await seen.now.send("a");
        await seen.now.send("b");
        const { seed } = JSON.parse(world.requests.at(-1).body);
        unmount();
        return [same, world.mints, seed];
      },
      [true, 1, 20],
    );

    scenario(
      "F2: parallel 401s cost one new token, which none of them discards",
      async () => {
        const { setting, mount, until, lab, useBehestThreads, useBehestUsage } = app;
        const { world, behest } = setting();
        let late;
        world.serve(async (request, world) => {
          if (lab.isMint(request)) return lab.bundle(`token-${world.mints}`);
          if (request.headers.authorization !== "Bearer token-1") return lab.json(200, []);
          // The second refusal arrives after the new token.
          if (late) await until(() => world.mints === 2);
          late = true;
          return lab.json(401, { error: { code: "invalid_token", message: "no" } });
        });
        const { seen, unmount } = mount(behest, () => [
          useBehestThreads({ autoLoad: false }),
          useBehestUsage({ autoLoad: false }),
        ]);
        await until(() => seen.now);
        await Promise.all(seen.now.map(({ refresh }) => refresh()));
        await seen.now[0].refresh();
        await until(() => !seen.now[0].loading);
        const errors = seen.now.map(({ error }) => error);
        unmount();
        return [world.mints, errors];
      },
      [2, [null, null]],
    );

    scenario(
      "F3: a short-lived token is used again, and a token function that fails is left in peace",
      async () => {
        const { setting, mount, until, lab, useBehestChat } = app;
        const { world, behest } = setting();
        world.serve((request, world) => (lab.isMint(request) ? lab.bundle("short", 60) : lab.defaultReply(request, world)));
        const one = mount(behest, () => useBehestChat());
        await until(() => one.seen.now);
        for (const text of ["a", "b", "c"]) await one.seen.now.send(text);
        one.unmount();
        const other = setting();
        other.world.serve(() => lab.json(500, { error: "down" }));
        const two = mount(other.behest, () => useBehestChat());
        await until(() => two.seen.now);
        for (const text of ["a", "b", "c"]) await two.seen.now.send(text);
        two.unmount();
        return [world.mints, other.world.mints];
      },
      [1, 1],
    );

    scenario(
      "F4: stop before the first byte shows no error",
      async () => {
        const { setting, mount, until, chats, lab, useBehestChat } = app;
        const { world, behest } = setting();
        const errors = [];
        world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.hang()));
        const { seen, unmount } = mount(behest, () => useBehestChat({ onError: (error) => errors.push(error.reason) }));
        await until(() => seen.now);
        const turn = seen.now.send("a");
        await until(() => chats(world).length === 1);
        seen.now.stop();
        await turn;
        await until(() => seen.now.status === "ready");
        const { error, outcome, messages } = seen.now;
        unmount();
        return [error, outcome, messages.length, errors, chats(world)[0].cancelled];
      },
      [null, "aborted", 1, [], true],
    );

    scenario(
      "F5: stop in the middle is no finish, and keeps what came",
      async () => {
        const { setting, mount, until, lab, useBehestChat } = app;
        const { world, behest } = setting();
        const finished = [];
        world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.stream([lab.delta("Half"), lab.STALL])));
        const { seen, unmount } = mount(behest, () => useBehestChat({ onFinish: () => finished.push(1) }));
        await until(() => seen.now);
        const turn = seen.now.send("a");
        await until(() => seen.now.messages.at(-1)?.content === "Half");
        seen.now.stop();
        await turn;
        await until(() => seen.now.status === "ready");
        const { error, outcome, messages } = seen.now;
        unmount();
        return [finished, error, outcome, messages.at(-1).content];
      },
      [[], null, "aborted", "Half"],
    );

    scenario(
      "F6: a second send while one is under way does nothing, and stop still stops the first",
      async () => {
        const { setting, mount, until, chats, lab, useBehestChat } = app;
        const { world, behest } = setting();
        world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.stream([lab.delta("Half"), lab.STALL])));
        const { seen, unmount } = mount(behest, () => useBehestChat());
        await until(() => seen.now);
        const first = seen.now.send("a");
        const second = await seen.now.send("b");
        await until(() => seen.now.messages.at(-1)?.content === "Half");
        const third = await seen.now.send("c");
        seen.now.stop();
        const [request] = chats(world);
        const outcomes = [(await first).outcome, second.outcome, third.outcome];
        const users = seen.now.messages.filter(({ role }) => role === "user").length;
        unmount();
        return [outcomes, users, chats(world).length, request.cancelled];
      },
      [["aborted", "ignored", "ignored"], 1, 1, true],
    );

    scenario(
      "F7: leaving the page ends the answer on the wire",
      async () => {
        const { setting, mount, until, chats, lab, useBehestChat } = app;
        const { world, behest } = setting();
        world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.stream([lab.delta("Half"), lab.STALL])));
        const { seen, unmount } = mount(behest, () => useBehestChat());
        await until(() => seen.now);
        const turn = seen.now.send("a");
        await until(() => seen.now.messages.at(-1)?.content === "Half");
        unmount();
        const { outcome } = await turn;
        await until(() => chats(world)[0].cancelled);
        return outcome;
      },
      "aborted",
    );

    scenario(
      "F8: a failed turn leaves no empty answer behind, on the page or in the next request",
      async () => {
        const { setting, mount, until, chats, lab, useBehestChat } = app;
        const { world, behest } = setting();
        let fails = true;
        world.serve((request, world) =>
          lab.isMint(request)
            ? lab.bundle()
            : fails
              ? lab.json(500, { error: { message: "down" } })
              : lab.defaultReply(request, world),
        );
        const errors = [];
        const { seen, unmount } = mount(behest, () => useBehestChat({ onError: (error) => errors.push(error.reason) }));
        await until(() => seen.now);
        await seen.now.send("a");
        await until(() => seen.now.status === "error");
        const after = seen.now.messages.map(({ role }) => role);
        fails = false;
        await seen.now.send("b");
        unmount();
        const sent = JSON.parse(chats(world).at(-1).body).messages.map(({ role, content }) => `${role}: ${content}`);
        return [after, errors, sent];
      },
      [["user"], ["server_error"], ["user: a", "user: b"]],
    );

    const threads = () => {
      const { setting, lab } = app;
      const { world, behest } = setting();
      const stored = {
        one: [
          { role: "user", content: "first" },
          { role: "assistant", content: "answer" },
        ],
        two: [{ role: "user", content: "second" }],
      };
      let chat = () => lab.stream([lab.delta("new"), lab.finish()]);
      world.serve((request) => {
        if (lab.isMint(request)) return lab.bundle();
        const [, thread] = /threads\/(.*)\/messages/.exec(request.url) ?? [];
        return thread ? lab.json(200, stored[thread]) : chat();
      });
      return { world, behest, answer: (next) => (chat = next) };
    };
    before(() => opened.page.evaluate(`app.threads = ${threads}`));

    scenario(
      "F9: another thread in the middle of an answer mixes nothing",
      async () => {
        const { mount, until, chats, lab, threads, useBehestChat } = app;
        const { world, behest, answer } = threads();
        answer(() => lab.stream([lab.delta("Half"), lab.STALL]));
        const { seen, unmount } = mount(behest, ({ threadId }) => useBehestChat({ threadId }), { threadId: "one" });
        await until(() => seen.now?.messages.length === 2);
        const turn = seen.now.send("left behind");
        await until(() => seen.now.messages.at(-1).content === "Half");
        seen.set({ threadId: "two" });
        await until(() => seen.now.messages.length === 1 && !seen.now.loading);
        await turn;
        const said = seen.now.messages.map(({ content }) => content);
        unmount();
        return [said, chats(world)[0].cancelled, seen.now.error];
      },
      [["second"], true, null],
    );

    scenario(
      "F10: with a thread, the history that the gateway has is not sent again",
      async () => {
        const { mount, until, chats, threads, useBehestChat } = app;
        const { world, behest } = threads();
        const { seen, unmount } = mount(behest, () => useBehestChat({ threadId: "one" }));
        await until(() => seen.now?.messages.length === 2);
        await seen.now.send("now");
        await seen.now.send("and now");
        unmount();
        return chats(world).map(({ headers, body }) => [
          headers["x-thread-id"],
          JSON.parse(body).messages.map(({ content }) => content),
        ]);
      },
      [
        ["one", ["now"]],
        ["one", ["and now"]],
      ],
    );

    scenario(
      "F11: another thread empties the messages at once, and loads its own",
      async () => {
        const { mount, until, threads, useBehestChat } = app;
        const { behest } = threads();
        const states = [];
        const { seen, unmount } = mount(
          behest,
          ({ threadId }) => {
            const chat = useBehestChat({ threadId });
            states.push(`${chat.messages.map(({ content }) => content)}${chat.loading ? "…" : ""}`);
            return chat;
          },
          { threadId: "one" },
        );
        await until(() => seen.now?.messages.length === 2);
        states.length = 0;
        seen.set({ threadId: "two" });
        await until(() => seen.now.messages.length === 1);
        seen.set({ threadId: undefined });
        await until(() => seen.now.messages.length === 0);
        unmount();
        return states.filter((state, index) => state !== states[index - 1]).slice(1);
      },
      ["…", "second", ""],
    );

    scenario(
      "F12: tool calls, finish reason and usage are kept; an answer can be made again, a question edited",
      async () => {
        const { setting, mount, until, lab, useBehestChat } = app;
        const { world, behest } = setting();
        const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
        const call = { index: 0, id: "call-1", type: "function", function: { name: "pick", arguments: "{}" } };
        world.serve((request) =>
          lab.isMint(request)
            ? lab.bundle()
            : lab.stream([
                lab.event({ id: "c", choices: [{ index: 0, delta: { tool_calls: [call] }, finish_reason: null }] }),
                lab.finish("tool_calls"),
                lab.event({ id: "c", choices: [], usage }),
              ]),
        );
        const { seen, unmount } = mount(behest, () => useBehestChat());
        await until(() => seen.now);
        await seen.now.send("a");
        await until(() => seen.now.status === "ready");
        const { tool_calls, info } = seen.now.messages.at(-1);
        const { outcome } = seen.now;
        await seen.now.regenerate();
        await seen.now.edit(seen.now.messages[0].id, "b");
        await until(() => seen.now.messages[0].content === "b");
        const kinds = seen.now.messages.map(({ role }) => role);
        unmount();
        return [tool_calls[0].function.name, info.finishReason, info.usage?.total_tokens, outcome, kinds];
      },
      ["pick", "tool_calls", 3, "tool_calls", ["user", "assistant"]],
    );

    scenario(
      "F13: sending something else leaves the input alone",
      async () => {
        const { setting, mount, until, useBehestChat } = app;
        const { behest } = setting();
        const { seen, unmount } = mount(behest, () => useBehestChat());
        await until(() => seen.now);
        seen.now.setInput("a draft");
        await until(() => seen.now.input === "a draft");
        await seen.now.send("something else");
        await until(() => seen.now.messages.length === 2);
        const { input, messages } = seen.now;
        unmount();
        return [input, messages[0].content];
      },
      ["a draft", "something else"],
    );

    scenario(
      "F14: a thread whose removal fails comes back to a list that has changed meanwhile; what is no list is an error",
      async () => {
        const { setting, mount, until, lab, useBehestThreads } = app;
        const { world, behest } = setting();
        let list = [{ id: "a" }, { id: "b" }, { id: "c" }];
        let refuse;
        world.serve(async (request) => {
          if (lab.isMint(request)) return lab.bundle();
          if (request.method !== "DELETE") return lab.json(200, list);
          if (request.url.endsWith("/a")) return { status: 204, headers: {}, pieces: [] };
          await new Promise((resolve) => (refuse = resolve));
          return lab.json(403, { error: "no" });
        });
        const { seen, unmount } = mount(behest, () => useBehestThreads());
        const ids = () => seen.now.threads.map(({ id }) => id).join("");
        await until(() => seen.now && ids() === "abc");
        const removal = seen.now.remove("b");
        await until(() => ids() === "ac" && refuse);
        await seen.now.remove("a");
        refuse();
        await removal;
        await until(() => ids().length === 2);
        const after = [ids(), seen.now.error.reason];
        list = { total: 3 };
        await seen.now.refresh();
        await until(() => seen.now.error?.reason === "invalid_response");
        unmount();
        return [...after, ids().length];
      },
      ["cb", "forbidden", 2],
    );

    scenario(
      "F15: threads and usage come from the gateway itself, under the user's token",
      async () => {
        const { setting, mount, until, lab, useBehestThreads, useBehestUsage } = app;
        const { world, behest } = setting();
        world.serve((request) => {
          if (lab.isMint(request)) return lab.bundle();
          if (request.url.includes("/messages")) return lab.json(200, [{ role: "user", content: "x" }]);
          return lab.json(200, request.url.includes("threads") ? [{ id: "a", title: "A" }] : { totals: { tokens: 7 } });
        });
        const { seen, unmount } = mount(behest, () => ({
          ...useBehestThreads(),
          usage: useBehestUsage({ granularity: "day" }).usage,
        }));
        await until(() => seen.now?.threads.length === 1 && seen.now.usage);
        const messages = await seen.now.getMessages("a");
        const { usage, threads } = seen.now;
        unmount();
        const sent = world.requests.filter((request) => !lab.isMint(request));
        const places = [...new Set(sent.map(({ url }) => new URL(url).origin))];
        const tokens = [...new Set(sent.map(({ headers }) => headers.authorization))];
        return [threads[0].title, usage.totals.tokens, messages.length, places, tokens];
      },
      ["A", 7, 1, ["https://gateway.example"], ["Bearer token-1"]],
    );
  });
}
