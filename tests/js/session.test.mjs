/** Whose a call is that begins while supabase-js tells of a change: against a scripted supabase-js that waits for its callbacks. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient, decodeToken, fails, lab, sent, urls } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";

/** supabase-js as far as the client knows it, with the lock of older versions: no session is read while it tells of one. */
function scripted(world) {
  const listeners = new Set();
  let session = null;
  let telling;
  let reads = 0;
  return {
    supabaseUrl: "https://project.example",
    reads: () => reads,
    auth: {
      async getSession() {
        reads += 1;
        await telling;
        return { data: { session }, error: null };
      },
      onAuthStateChange(listener) {
        listeners.add(listener);
        return { data: { subscription: { unsubscribe: () => listeners.delete(listener) } } };
      },
    },
    /** Another user, or nobody; `life` in seconds. */
    async change(user, life = 3600) {
      session = user && { access_token: world.signedIn(user), expires_at: Math.round(Date.now() / 1000) + life };
      telling = Promise.all([...listeners].map((listener) => listener(user ? "SIGNED_IN" : "SIGNED_OUT", session)));
      await telling;
    },
  };
}

function setting() {
  const world = new lab.World();
  const supabase = scripted(world);
  const connect = () => createClient({ supabase, behestUrl: urls.behestUrl, fetch: world.fetch });
  return { world, supabase, connect };
}

/** The users whose prompts have reached the gateway, by the tokens they came with. */
const askers = (world) => sent(world).map(({ body }) => JSON.parse(body).messages[0].content);

for (const order of ["before", "after"]) {
  test(`a callback registered ${order} the client's may wait for a call of the new user's`, LIMIT, async () => {
    const { world, supabase, connect } = setting();
    let behest = order === "after" ? connect() : undefined;
    const answers = [];
    let user;
    supabase.auth.onAuthStateChange(async (event) => {
      if (event === "SIGNED_IN") answers.push([user, await behest.ask(`${user}'s`)]);
    });
    behest ??= connect();
    for (user of ["alice", "bob"]) await supabase.change(user);
    assert.deepEqual(answers, [["alice", "Hello"], ["bob", "Hello"]]);
    assert.deepEqual([world.mints, supabase.reads()], [2, 0]);
    assert.deepEqual(askers(world), ["alice's", "bob's"]);
  });
}

test("what was asked before the change, in a turn of its own, ends with its user", LIMIT, async () => {
  const { supabase, connect } = setting();
  const behest = connect();
  await supabase.change("alice");
  await behest.warm();
  const call = behest.ask("alice's");
  call.catch(() => {});
  await Promise.resolve();
  await supabase.change("bob");
  await assert.rejects(call, fails("user_changed"));
  assert.equal(await behest.ask("bob's"), "Hello");
});

test("what was asked before `sessionChanged`, in the same turn, is the former user's", LIMIT, async () => {
  const { world, supabase, connect } = setting();
  const behest = connect();
  await supabase.change("alice");
  await behest.warm();
  const call = behest.ask("alice's");
  call.catch(() => {});
  behest.sessionChanged(world.signedIn("bob"));
  await assert.rejects(call, fails("user_changed"));
});

test("a call that was aborted in the turn it was made in is not begun", LIMIT, async () => {
  const { world, supabase, connect } = setting();
  const behest = connect();
  await supabase.change("alice");
  await behest.warm();
  const controller = new AbortController();
  const call = behest.ask("alice's", { signal: controller.signal });
  controller.abort();
  await assert.rejects(call, fails("aborted"));
  assert.equal(await behest.ask("again"), "Hello");
  assert.deepEqual(askers(world), ["again"]);
});

test("a session near its end, and one after `close`, are asked for", LIMIT, async () => {
  const { supabase, connect } = setting();
  const behest = connect();
  await supabase.change("alice", 60);
  await behest.ask("Hi!");
  assert.equal(supabase.reads(), 1);
  await supabase.change("bob");
  behest.close();
  await behest.ask("Hi!");
  assert.equal(supabase.reads(), 2);
});

test("a scripted session has claims in any letters", () => {
  const claims = { sub: "Zoë", user_metadata: { name: "Žofie 用户 👋" } };
  const { sub, user_metadata } = decodeToken(lab.accessToken("user-1", claims));
  assert.deepEqual({ sub, user_metadata }, claims);
});
