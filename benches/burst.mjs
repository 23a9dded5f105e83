/** 1,000 questions at once and no token at hand: what they cost beside the documented snippet, and how many tokens are minted. */
import * as peers from "./peers/index.mjs";
import { inChromium } from "./lib/in-chromium.mjs";
import { cpuInNode } from "./lib/in-node.mjs";
import { medians } from "./lib/rounds.mjs";
import { importPackage, progress, QUICK, report, withPackage } from "./lib/setting.mjs";
import { burstSubjects } from "./lib/subjects.mjs";

const COUNT = 1000;
const ROUNDS = QUICK ? 7 : 21;
// `ask` is what the figure is about; the snippet can only stream, so a stream stands beside it.
const SUBJECTS = ["behest", "behest streamed", "snippet"];

await withPackage(async (installed) => {
  progress("Node");
  // supabase-js asks for one when it is made, and Node 20 has none. Nothing here connects.
  globalThis.WebSocket ??= class {};
  const { createClient } = await importPackage(installed);
  const cpu = cpuInNode();
  const subjects = burstSubjects({ createClient, ...peers }, COUNT);
  globalThis.fetch = subjects.fetch;
  await measure("node", { ready: (subject) => subjects.ready(subject), ask: () => cpu(subjects.ask), mints: () => subjects.mints() });

  progress("Chromium");
  await inChromium(installed, async ({ page, cpu }) => {
    await page.evaluate((count) => {
      globalThis.subjects = globalThis.makers.burstSubjects(globalThis.modules, count);
      globalThis.fetch = globalThis.subjects.fetch;
    }, COUNT);
    await measure("chromium", {
      ready: (subject) => page.evaluate((subject) => globalThis.subjects.ready(subject), subject),
      ask: () => cpu(() => globalThis.subjects.ask()),
      mints: () => page.evaluate(() => globalThis.subjects.mints()),
    });
  });
});

async function measure(where, { ready, ask, mints }) {
  const most = Object.fromEntries(SUBJECTS.map((subject) => [subject, 0]));
  const times = await medians(SUBJECTS, ROUNDS, async (subject) => {
    await ready(subject);
    const time = await ask();
    most[subject] = Math.max(most[subject], await mints());
    return time;
  });
  report({ figure: "burst", where, unit: "ms", ours: times.behest, peer: "snippet", theirs: times.snippet });
  report({ figure: "burst streamed", where, unit: "ms", ours: times["behest streamed"], peer: "snippet", theirs: times.snippet });
  report({ figure: "burst mints", where, unit: "", ours: most.behest, peer: "snippet", theirs: most.snippet });
}
