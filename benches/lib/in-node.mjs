/** Measures in this process: CPU time of all its threads, garbage collection and compilation included. */
import { setImmediate as turn } from "node:timers/promises";

export function cpuInNode() {
  if (!globalThis.gc) throw new Error("start Node with --expose-gc: each sample begins with an empty heap");
  return async (work) => {
    // Finalizers run in a turn of their own, and what they let go of is free only after another collection.
    globalThis.gc();
    await turn();
    globalThis.gc();
    await turn();
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
}
