/** 20,000 streamed events: CPU time of this client and its peers, by the size of the network's chunks. */
import * as peers from "./peers/index.mjs";
import { EVENTS } from "./lib/chat.mjs";
import { inChromium } from "./lib/in-chromium.mjs";
import { cpuInNode } from "./lib/in-node.mjs";
import { medians } from "./lib/rounds.mjs";
import { importPackage, progress, QUICK, report, withPackage } from "./lib/setting.mjs";
import { streamSubjects } from "./lib/subjects.mjs";

const CHUNKS = [
  { name: "one event", size: null },
  { name: "200 B", size: 200 },
  { name: "4 KiB", size: 4096 },
  { name: "64 KiB", size: 65_536 },
];
const ROUNDS = QUICK ? 5 : 15;
const SUBJECTS = ["behest text", "behest chunks", "openai", "eventsource-parser", "bare read"];

await withPackage(async (installed) => {
  const { createClient } = await importPackage(installed);
  const cpu = cpuInNode();
  for (const { name, size } of CHUNKS) {
    progress(`Node, ${name} a chunk`);
    const subjects = streamSubjects({ createClient, ...peers }, EVENTS, size);
    tell("node", name, await medians(SUBJECTS, ROUNDS, (subject) => cpu(subjects[subject])));
  }
  await inChromium(installed, async ({ page, cpu }) => {
    for (const { name, size } of CHUNKS) {
      progress(`Chromium, ${name} a chunk`);
      await page.evaluate(
        ([count, size]) => (globalThis.subjects = globalThis.makers.streamSubjects(globalThis.modules, count, size)),
        [EVENTS, size],
      );
      const sample = (subject) => cpu((subject) => globalThis.subjects[subject](), subject);
      tell("chromium", name, await medians(SUBJECTS, ROUNDS, sample));
    }
  });
});

function tell(where, chunk, times) {
  for (const kind of ["text", "chunks"]) {
    for (const peer of ["openai", "eventsource-parser", "bare read"]) {
      report({ figure: `stream ${kind}`, case: chunk, where, unit: "ms", ours: times[`behest ${kind}`], peer, theirs: times[peer] });
    }
  }
}
