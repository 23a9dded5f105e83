/** The fault matrix, held against the packed package: in Node and Chromium; the long form (`TRUST=long`) in Firefox, too, and whole. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";

import { launch, openPage } from "../js/support/browser.mjs";
import { launchFirefox } from "../js/support/firefox.mjs";
import { installPackage } from "../js/support/package.mjs";
import { required } from "../js/support/required.mjs";
import { carryOutAll } from "./caller.mjs";
import { servePages } from "./pages.mjs";
import { page } from "./report.mjs";
import { startRun } from "./run.mjs";
import { cells } from "./table.mjs";

const LONG = process.env.TRUST === "long";
const LIMIT = { timeout: LONG ? 840_000 : 240_000 };
const TOGETHER = 32;
/** A browser opens six connections to a port at once. */
const PORTS = 8;
/** So many cells in one script: WebDriver waits 30 s for each. */
const BATCH = 48;

let installed, run, createClient, pages;
const logged = [];

before(async () => {
  installed = await installPackage();
  ({ createClient } = await installed.load("node.js"));
  const { createTokenEndpoint } = await installed.load("server.js");
  pages = await servePages(installed.packageFolder);
  // What our endpoint logs is searched for secrets, too.
  for (const level of ["debug", "info", "log", "warn", "error"]) console[level] = (...words) => logged.push(words.join(" "));
  run = await startRun({ createTokenEndpoint, origins: [pages.origin], ports: PORTS });
});

after(async () => {
  run?.stop();
  pages?.stop();
  await installed?.remove();
});

/** Carries out cells with `ask(prepared, done)` and says which went wrong. */
async function hold(client, wanted, ask) {
  const prepared = wanted.map(run.prepare);
  const byId = new Map(prepared.map((cell) => [cell.id, cell]));
  const verdicts = [];
  await ask(prepared.map(({ id, options }) => ({ id, options })), (id, told) => {
    verdicts.push(run.verdict(byId.get(id), client, told).then((wrong) => [byId.get(id).cell, wrong, told.message ?? ""]));
  });
  const wrong = (await Promise.all(verdicts)).filter(([, wrong]) => wrong.length > 0);
  const lines = wrong.map(([{ hop, kind, fault }, wrong, message]) => `${fault.name}, ${hop}, ${kind}: ${wrong.join("; ")} (${message})`);
  process.stdout.write(`${client}: ${verdicts.length} cells, ${wrong.length} wrong\n`);
  assert.deepEqual(lines, []);
  assert.equal(verdicts.length, wanted.length);
  const shown = logged.filter((line) => prepared.some(({ options }) => line.includes(options.session)) || /gateway-secret|behest_sk_live/.test(line));
  assert.deepEqual(shown, [], "secrets are logged");
}

/** Where nothing but the platform's own ways matter, each rule about statuses is asked for once, in Node. */
const inBrowsers = () => cells({ short: !LONG }).filter(({ fault, hop }) => LONG || (!fault.shape && hop !== "plan" && hop !== "mint"));

test("in Node", LIMIT, () =>
  hold("node", cells({ short: !LONG }), (prepared, done) => carryOutAll(createClient, prepared, { together: TOGETHER, done })));

test("in the native client", LIMIT, () =>
  hold("native", cells({ short: !LONG }), async (prepared, done) => {
    const child = spawn(required("FAULT_CALLER", "the example fault-caller"), { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(child, "exit");
    child.stdin.end(prepared.map((cell) => `${JSON.stringify(cell)}\n`).join(""));
    for await (const line of createInterface({ input: child.stdout })) {
      const { id, told } = JSON.parse(line);
      done(id, told);
    }
    assert.deepEqual(await ended, [0, null]);
  }));

test("in Chromium", LIMIT, async () => {
  const browser = await launch();
  try {
    const { page } = await openPage(browser);
    page.setDefaultTimeout(0);
    await page.goto(pages.origin);
    await hold("chromium", inBrowsers(), async (prepared, done) => {
      await page.exposeFunction("settled", done);
      await page.evaluate(async ([cells, together]) => {
        const [{ carryOutAll }, { createClient }] = await Promise.all([import("/trust/caller.mjs"), import("/pkg/index.js")]);
        await carryOutAll(createClient, cells, { together, done: globalThis.settled });
      }, [prepared, TOGETHER]);
    });
  } finally {
    await browser.close();
  }
});

if (LONG) {
  test("in Firefox", LIMIT, async () => {
    const firefox = await launchFirefox();
    try {
      const page = await firefox.open({ viewport: { width: 800, height: 600 } });
      await page.goto(pages.origin);
      await hold("firefox", inBrowsers(), async (prepared, done) => {
        for (let at = 0; at < prepared.length; at += BATCH) {
          const told = await page.evaluate(
            `const [{ carryOutAll }, { createClient }] = await Promise.all([import("/trust/caller.mjs"), import("/pkg/index.js")]);
            const told = [];
            await carryOutAll(createClient, arguments[0], { together: arguments[1], done: (...one) => told.push(one) });
            return told;`.replaceAll("arguments[0]", JSON.stringify(prepared.slice(at, at + BATCH))).replaceAll("arguments[1]", TOGETHER),
          );
          assert.ok(Array.isArray(told), JSON.stringify(told));
          for (const [id, one] of told) done(id, one);
        }
      });
    } finally {
      await firefox.close();
    }
  });
}

test("nothing was asked for that no cell had asked for, and docs/faults.md says what was held", async () => {
  assert.deepEqual(run.server.strays.filter((stray) => !stray.includes("/c/elsewhere")), []);
  const file = path.resolve(import.meta.dirname, "../../docs/faults.md");
  if (LONG) await writeFile(file, page());
  assert.equal(await readFile(file, "utf8").catch(() => ""), page(), "docs/faults.md is out of date: cargo xtask check --faults");
});
