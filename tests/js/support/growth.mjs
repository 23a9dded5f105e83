import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

/** How much each counter grows while `work` runs; `reached` waits until one has grown by so much. */
export async function growth(stack, work) {
  const before = await stack.counters();
  const grown = async () => {
    const now = await stack.counters();
    return (name) => now(name) - before(name);
  };
  const reached = async (name, count) => {
    const deadline = Date.now() + 10_000;
    while ((await grown())(name) < count) {
      assert.ok(Date.now() < deadline, `${name} did not grow by ${count} in 10 s`);
      await setTimeout(20);
    }
  };
  const result = await work({ reached });
  return { result, grown: await grown() };
}
