// The token function as documented, with real supabase-js, and ours: both on Deno, in front of the same behest-local, given the
// same requests. A page can use either.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { bundleProgram, installPrograms, startFunction } from "./server/runtimes.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const ours = join(here, "../../examples/supabase-function/supabase/functions/behest-token/index.ts");
const PAGE = "http://127.0.0.1:5173";

let data, stack, project, session, user;
const hosts = {};

const post = (url, headers, body) => fetch(url, { method: "POST", headers, body });

before(async () => {
  data = mkdtempSync(join(tmpdir(), "behest-documented-"));
  const file = join(data, "data.sqlite");
  stack = await startStack({ packageFolder: wwwFolder, more: ["--data", file] });
  const signUp = await post(
    `${stack.supabase}/auth/v1/signup`,
    { apikey: stack.publishableKey, "content-type": "application/json" },
    JSON.stringify({ email: "ada@example.com", password: "correct horse battery staple" }),
  );
  ({ access_token: session, user } = await signUp.json());
  const key = execFileSync(process.env.BEHEST_LOCAL, ["keys", "--data", file, "--add"], { encoding: "utf8" });
  const [, behestKey] = /^BEHEST_KEY=(\S+)$/m.exec(key);
  const setPlan = ["users", "--data", file, "--set-plan", user.id, "pro"];
  execFileSync(process.env.BEHEST_LOCAL, setPlan);

  project = await installPrograms();
  const variables = {
    SUPABASE_URL: stack.supabase,
    SUPABASE_ANON_KEY: stack.publishableKey,
    BEHEST_KEY: behestKey,
    BEHEST_BASE_URL: stack.gateway,
    CORS_ORIGIN: PAGE,
  };
  hosts.documented = await startFunction(project.folder, bundleProgram("host-documented.mjs", join(project.folder, "documented.js")), variables);
  hosts.ours = await startFunction(project.folder, ours, variables);
});

after(async () => {
  for (const host of Object.values(hosts)) host.stop();
  await stack?.stop();
  await project?.remove();
  if (data) rmSync(data, { recursive: true, force: true });
});

const ask = (name, bearer) =>
  post(`http://127.0.0.1:${hosts[name].port}/functions/v1/behest-token`, { origin: PAGE, authorization: `Bearer ${bearer}` });

const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

test("the same request gets the same bundle", async () => {
  const bundles = {};
  for (const name of Object.keys(hosts)) {
    const response = await ask(name, session);
    const text = await response.text();
    assert.equal(response.status, 200, `${name}: ${text}`);
    assert.equal(response.headers.get("access-control-allow-origin"), PAGE, name);
    assert.equal(response.headers.get("cache-control"), "no-store", name);
    bundles[name] = JSON.parse(text);
  }
  const shape = (bundle) => Object.entries(bundle).map(([field, value]) => [field, typeof value]);
  assert.deepEqual(shape(bundles.ours), shape(bundles.documented));
  assert.equal(bundles.ours.ttl, bundles.documented.ttl);
  assert.ok(Math.abs(bundles.ours.expiresAt - bundles.documented.expiresAt) <= 5);
  const of = ({ uid, tier, role, pid, tid, iss, aud }) => ({ uid, tier, role, pid, tid, iss, aud });
  assert.deepEqual(of(claims(bundles.ours.token)), of(claims(bundles.documented.token)));
  assert.deepEqual([claims(bundles.ours.token).uid, claims(bundles.ours.token).tier], [user.id, 2]);
  for (const { token, sessionId } of Object.values(bundles)) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "x-session-id": sessionId };
    const chat = await post(`${stack.gateway}/v1/chat/completions`, headers, '{"messages":[{"role":"user","content":"Hi!"}]}');
    assert.equal(chat.status, 200);
  }
});

test("both refuse who is not signed in, and answer preflights", async () => {
  for (const name of Object.keys(hosts)) {
    assert.equal((await ask(name, "garbage")).status, 401, name);
    const url = `http://127.0.0.1:${hosts[name].port}/`;
    const headers = { origin: PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type" };
    const preflight = await fetch(url, { method: "OPTIONS", headers });
    const allowed = preflight.headers.get("access-control-allow-headers").toLowerCase();
    assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-origin")], [204, PAGE], name);
    for (const header of ["authorization", "content-type"]) assert.ok(allowed.includes(header), name);
  }
});
