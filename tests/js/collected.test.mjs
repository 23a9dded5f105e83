/** What the garbage collector takes of the packed package, and what it must not. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { installed, lab, sent, setUp, streamOf } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");

/** What was looked at lives to the end of its turn, and who is told of an end is told in another one. */
async function collect() {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise(setImmediate);
    gc();
  }
  await new Promise(setImmediate);
}

test("a conversation goes on as long as anybody has one of its functions, or waits for an answer", LIMIT, async () => {
  const { world, behest } = setUp();
  await behest.warm();
  const { ask } = behest.conversation({ sessionId: "mine" });
  for (let count = 0; count < 3; count++) {
    assert.equal(await ask("Hi!"), "Hello");
    await collect();
  }
  assert.deepEqual(sent(world).map(({ headers }) => headers["x-session-id"]), ["mine", "mine", "mine"]);

  let mint = () => {};
  const minted = new Promise((resolve) => (mint = resolve));
  world.serve(async (request) => {
    if (!lab.isMint(request)) return lab.stream([lab.delta("Hello"), lab.finish()]);
    await minted;
    return lab.bundle();
  });
  const streaming = streamOf(behest.conversation());
  for (let count = 0; count < 3; count++) await collect();
  mint();
  for await (const _ of await streaming);
  assert.equal((await streaming).content, "Hello");
});

test("a module that was given for one client is gone with it", LIMIT, async () => {
  const bytes = await readFile(`${installed.packageFolder}/dist/behest.wasm`);
  const given = [];
  for (let count = 0; count < 8; count++) {
    const wasmModule = Uint8Array.from(bytes);
    given.push(new WeakRef(wasmModule));
    assert.equal(await setUp(undefined, { wasmModule }).behest.ask("Hi!"), "Hello");
  }
  // All but what a register or the last promise may still hold.
  while (given.filter((one) => one.deref()).length > 2) await collect();
});
