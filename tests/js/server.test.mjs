// One conformance suite for every runtime: the cases of tests/server/cases.json, the same answers everywhere.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request as connect } from "node:http";
import { after, before, test } from "node:test";

import { installPrograms, startAll } from "./server/runtimes.mjs";
import { open, token, variables } from "./server/tokens.mjs";
import { startUpstream } from "./server/upstream.mjs";
import { required } from "./support/required.mjs";

const { settings, guards, webhooks, cases } = JSON.parse(readFileSync(new URL("../server/cases.json", import.meta.url)));
const RUNTIMES = ["axum", "node", "deno", "bun", "workerd"];
const PAGE = "https://app.example.com";

let upstream, project;
const hosts = {};

before(async () => {
  upstream = await startUpstream();
  project = await installPrograms();
  const known = { ...variables, UPSTREAM: upstream.url };
  const filled = JSON.parse(JSON.stringify({ settings, guards, webhooks }), (_, value) =>
    typeof value === "string" ? value.replace(/\$([A-Z0-9_]+)/g, (whole, name) => known[name] ?? whole) : value,
  );
  for (const [name, starting] of Object.entries(startAll(project.folder, filled, required("CONFORMANCE_HOST", "the server under axum")))) {
    hosts[name] = await starting;
  }
});

after(() => {
  for (const host of Object.values(hosts)) host.stop();
  upstream?.stop();
  project?.remove();
});

/** The headers of a case: `set` replaces the usual ones, `add` those of the same names. */
function headersOf(one, signed) {
  const usual = [["origin", PAGE]];
  if (signed) usual.push(["authorization", `Bearer ${signed}`]);
  const added = one.add ?? [];
  const kept = one.set ?? usual.filter(([name]) => !added.some(([other]) => other === name));
  return [...kept, ...added].map(([name, value]) => [name, value.replaceAll("$token", signed)]);
}

/** Sends what the case says, over a connection of its own, and reads the answer. */
function send(port, one, signed) {
  const body = one.bytes ? Buffer.alloc(one.bytes, " ") : Buffer.from(one.body ?? "");
  const headers = [["host", "host"], ...headersOf(one, signed)];
  if (one.chunked) headers.push(["transfer-encoding", "chunked"]);
  else if (one.stall) headers.push(["content-length", "100"]);
  else if (body.length > 0) headers.push(["content-length", String(body.length)]);
  return new Promise((resolve, reject) => {
    const request = connect({
      host: "127.0.0.1",
      port,
      path: `/${one.on ?? "main"}/functions/v1/behest-token`,
      method: one.method ?? "POST",
      headers: headers.flat(),
      agent: false,
      maxHeaderSize: 65_536,
    });
    request.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        request.destroy();
        resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() });
      });
    });
    request.on("error", reject);
    if (one.stall) request.write("{");
    // Whoever refuses so much must do so without having read it all.
    else if (body.length > 100_000 && !one.whole) request.write(body.subarray(0, 32_768));
    else request.end(body);
  });
}

// What servers say about the connection, not about the answer.
const OF_THE_HOST = new Set(["date", "connection", "keep-alive", "content-length", "transfer-encoding", "server"]);

/** An answer without what differs from run to run. */
function comparable({ status, headers, text }) {
  const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_THE_HOST.has(name)));
  if (kept["x-request-id"]) kept["x-request-id"] = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(kept["x-request-id"]);
  const body = text === "" ? "" : JSON.parse(text);
  for (const field of ["sessionId", "expiresAt", "token"]) if (body[field]) body[field] = typeof body[field];
  // The same message stands at the top level, for those who look there.
  for (const told of [body.error, body]) if (told?.message) told.message = told.message.replace(/\d+ s/, "N s");
  // These waits depend on the time of the run; others are for every runtime to answer alike.
  if (["token_not_yet_valid", "unknown_key"].includes(body.error?.code)) {
    delete kept["retry-after"];
    delete body.error.retry_after;
  }
  return { status, headers: kept, body };
}

function check(one, { status, headers, text }) {
  assert.equal(status, one.status, text);
  const body = text === "" ? {} : JSON.parse(text);
  assert.equal(body.error?.code, one.code, text);
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers["x-content-type-options"], "nosniff");
  if (one.code) {
    assert.ok(body.error.message && body.error.hint.endsWith("."), text);
    assert.doesNotMatch(text, /behest says|stack trace|behest_sk|eyJ/, "nothing of other servers or of the token is told");
    if (!(one.on in webhooks)) assert.equal("www-authenticate" in headers, status === 401);
  }
  for (const [name, value] of Object.entries(one.headers ?? {})) {
    if (value === "*") assert.ok(headers[name], name);
    else assert.equal(headers[name] ?? null, value, name);
  }
  for (const [name, value] of Object.entries(one.json ?? {})) assert.deepEqual(body[name], value, name);
  if (status === 200 && (one.on ?? "main") in settings) {
    assert.deepEqual(Object.keys(body), ["token", "ttl", "sessionId", "expiresAt"]);
    assert.ok(Math.abs(body.expiresAt - Date.now() / 1000 - body.ttl) < 5, text);
  }
  if (one.signed) {
    const { header, claims } = open(body.token);
    assert.equal(header, '{"alg":"RS256","typ":"JWT","kid":"sk_1"}');
    const read = JSON.parse(claims);
    assert.deepEqual(Object.keys(read), ["tid", "pid", "uid", "role", "scp", "iss", "aud", "iat", "nbf", "exp", "jti", "sid", "tier"]);
    for (const [name, value] of Object.entries(one.signed)) assert.deepEqual(read[name], value, name);
    assert.deepEqual([read.nbf, read.exp - read.iat, read.sid], [read.iat, body.ttl, body.sessionId]);
  }
}

// Slow ones go along with the others instead of one after another.
test("every runtime gives every case the answer it documents, and the same as axum", { concurrency: 8 }, async (t) => {
  await Promise.all(
    cases.map((one) =>
      t.test(one.name, { timeout: 60_000 }, async (t) => {
        const signed = one.bearer ?? (one.token && token(one.token, upstream.url));
        const sent = Object.fromEntries(RUNTIMES.map((name) => [name, send(hosts[name].port, one, signed)]));
        const settled = Promise.allSettled(Object.values(sent));
        for (const name of RUNTIMES) {
          await t.test(name, async () => {
            const answer = await sent[name];
            check(one, answer);
            assert.deepEqual(comparable(answer), comparable(await sent.axum), `${name} differs from axum`);
          });
        }
        await settled;
      }),
    ),
  );
});

test("a caller who hangs up while the keys are fetched takes nobody along", { timeout: 60_000 }, async (t) => {
  for (const name of RUNTIMES) {
    await t.test(name, async () => {
      const { port } = hosts[name];
      const authorization = `Bearer ${token({}, upstream.url)}`;
      const held = upstream.holdNext();
      const first = connect({ host: "127.0.0.1", port, path: "/held", method: "POST", headers: { authorization }, agent: false });
      first.on("error", () => {});
      first.end();
      await held;
      first.destroy();
      const answer = await send(port, { on: "held" }, token({}, upstream.url));
      assert.equal(answer.status, 200, answer.text);
    });
  }
});

test("requests that begin together fetch the key set once", { timeout: 60_000 }, async (t) => {
  for (const name of RUNTIMES) {
    await t.test(name, async () => {
      const before = upstream.calls["/jwks-burst"] ?? 0;
      const all = Array.from({ length: 50 }, () => send(hosts[name].port, { on: "burst" }, token({}, upstream.url)));
      const statuses = (await Promise.all(all)).map(({ status }) => status);
      assert.deepEqual(statuses, statuses.map(() => 200));
      assert.equal(upstream.calls["/jwks-burst"] - before, 1);
    });
  }
});

test("what @supabase/server 1.4.1 answers with one code has a reason each", () => {
  const causes = ["no header", "the word undefined", "expired", "unknown kid", "missing kid, several keys fit", "the key set cannot be fetched"];
  const codes = causes.map((cause) => cases.find(({ name }) => name === cause).code);
  assert.equal(new Set(codes).size, causes.length, codes.join());
  assert.equal(cases.find(({ name }) => name === "bearer in lower case").status, 200);
});

test("nothing secret is in any log", () => {
  for (const [name, host] of Object.entries(hosts)) {
    const log = host.log();
    for (const secret of ["behest_sk_live", "PRIVATE KEY", variables.SECRET, variables.PKCS8_BASE64, "eyJ", "tok-"]) {
      assert.ok(!log.includes(secret), `${name} logs ${secret}`);
    }
    assert.match(log, /refused.*reason=.?token_expired/, `${name} logs why it refused`);
    assert.match(log, /behest says/, `${name} logs what Behest said`);
  }
});
