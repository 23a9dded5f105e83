/** One warm question after the other: the CPU time a client adds to a bare fetch and its JSON. */
import * as peers from "./peers/index.mjs";
import { inChromium } from "./lib/in-chromium.mjs";
import { cpuInNode } from "./lib/in-node.mjs";
import { medians } from "./lib/rounds.mjs";
import { importPackage, progress, QUICK, report, withPackage } from "./lib/setting.mjs";
import { askSubjects } from "./lib/subjects.mjs";

const COUNT = 2000;
const ROUNDS = QUICK ? 7 : 21;
const SUBJECTS = ["supabase-js", "callback", "openai", "bare fetch"];

await withPackage(async (installed) => {
  progress("Node");
  const { createClient } = await importPackage(installed);
  const cpu = cpuInNode();
  // supabase-js asks for one when it is made, and Node 20 has none. Nothing here connects.
  globalThis.WebSocket ??= class {};
  const subjects = await askSubjects({ createClient, ...peers }, COUNT);
  tell("node", await medians(SUBJECTS, ROUNDS, (subject) => cpu(subjects[subject])));

  progress("Chromium");
  await inChromium(installed, async ({ page, cpu }) => {
    await page.evaluate(async (count) => {
      globalThis.subjects = await globalThis.makers.askSubjects(globalThis.modules, count);
    }, COUNT);
    const sample = (subject) => cpu((subject) => globalThis.subjects[subject](), subject);
    tell("chromium", await medians(SUBJECTS, ROUNDS, sample));
  });
});

function tell(where, times) {
  const each = (subject) => (1000 * times[subject]) / COUNT;
  const added = (subject) => each(subject) - each("bare fetch");
  for (const source of ["supabase-js", "callback"]) {
    report({ figure: "ask", case: source, where, unit: "µs", ours: added(source), peer: "openai", theirs: added("openai") });
    report({ figure: "ask", case: source, where, unit: "µs", ours: each(source), peer: "bare fetch", theirs: each("bare fetch") });
  }
}
