/** Measures in this process: CPU time of all its threads, garbage collection and compilation included. */

export function cpuInNode() {
  if (!globalThis.gc) throw new Error("start Node with --expose-gc: each sample begins with no young garbage");
  return async (work) => {
    sweep();
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
}

/**
 * Nobody pays for another one's garbage. Only the young generation's: a full collection also throws away the optimised code
 * of everything that has no live object at that moment, and what would be measured then is the compiler.
 */
export const sweep = () => globalThis.gc({ type: "minor" });
