/**
 * A slow line between a browser and its servers, made by the servers: each answer begins `latencyMs` after its request, and
 * all of them share `bitsPerSecond`. (The browser's own emulation needs the debugger's Network domain.)
 */
import { setTimeout as sleep } from "node:timers/promises";

/** What a line carries at once: one Ethernet frame. */
const FRAME_BYTES = 1_500;

export function slowLink({ latencyMs, bitsPerSecond }) {
  const frameMs = (FRAME_BYTES * 8 * 1000) / bitsPerSecond;
  let freeAt = 0;
  return {
    /** Waits as long as a request and the first byte of its answer are on their way. */
    arrive: () => sleep(latencyMs),
    async send(response, body) {
      for (let start = 0; start < body.length; start += FRAME_BYTES) {
        freeAt = Math.max(freeAt, performance.now()) + frameMs;
        await sleep(freeAt - performance.now());
        response.write(body.subarray(start, start + FRAME_BYTES));
      }
      response.end();
    },
  };
}

/** The network of this machine. */
export const DIRECT = { arrive: async () => {}, send: async (response, body) => void response.end(body) };
