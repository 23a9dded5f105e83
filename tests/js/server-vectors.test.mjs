// The WebAssembly module under Wycheproof's vectors: the same that src/server/vectors.rs puts the native build through.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";

import { token } from "./server/tokens.mjs";
import { installPackage } from "./support/package.mjs";

let installed;

before(async () => (installed = await installPackage()));
after(() => installed?.remove());

/** `(jwk, algorithm, message, signature)` → whether the module verifies it. */
async function verifier() {
  const [{ createGlue }, { createHost }, { default: bytes }] = await Promise.all(
    ["dist/server-glue.js", "server-host.js", "dist/server-bytes.js"].map((file) => installed.load(file)),
  );
  const waiting = new Map();
  const calls = { resolve: (call, value) => waiting.get(call)(value === "true") };
  const host = createHost({ calls, policies: [], resume: (...outcome) => glue.resume(...outcome) });
  const glue = createGlue((exports) => exports, host);
  glue(new WebAssembly.Module(bytes));
  return (jwk, algorithm, message, signature) =>
    new Promise((resolve) => {
      const call = waiting.size + 1;
      waiting.set(call, resolve);
      glue.verifyVector(call, JSON.stringify([jwk]), algorithm, message, signature);
    });
}

test("signatures are judged as Wycheproof judges them", { timeout: 120_000 }, async (t) => {
  for (const level of ["log", "warn", "error"]) t.mock.method(console, level, () => {});
  const options = { env: { ...process.env, VECTORS: "1" }, encoding: "utf8", maxBuffer: 2 ** 28 };
  const vectors = execFileSync(process.env.CONFORMANCE_HOST, [], options).trim().split("\n").map((line) => JSON.parse(line));
  const verify = await verifier();
  const decode = (text) => Buffer.from(text, "base64url");
  const tally = {};
  for (const [algorithm, id, jwk, message, signature, valid] of vectors) {
    const verified = await verify(jwk, algorithm, decode(message), decode(signature));
    if (valid !== null) assert.equal(verified, valid, `${algorithm} ${id}`);
    tally[algorithm] ??= { true: 0, false: 0 };
    tally[algorithm][verified] += 1;
  }
  assert.deepEqual(Object.keys(tally).sort(), ["ES256", "EdDSA", "PS256", "RS256", "RS384", "RS512"]);
  for (const [algorithm, { true: accepted, false: refused }] of Object.entries(tally)) {
    assert.ok(accepted >= 10 && refused >= 50, `${algorithm}: ${accepted} accepted, ${refused} refused`);
  }
  t.diagnostic(JSON.stringify(tally));
});

test("RSA keys have 2,048 to 16,384 bits", async (t) => {
  for (const level of ["log", "warn", "error"]) t.mock.method(console, level, () => {});
  const { createSupabaseContext } = await installed.load("server.js");
  const supabase = "https://ref.supabase.co";
  const jwt = token({ alg: "RS256", key: "rsa", kid: "k" }, supabase);
  const request = new Request("https://f/", { headers: { authorization: `Bearer ${jwt}` } });
  const refusal = async (bits) => {
    const n = Buffer.concat([Buffer.of(1 << ((bits - 1) % 8)), randomBytes(Math.ceil(bits / 8) - 1)]);
    n[n.length - 1] |= 1;
    const jwk = { kty: "RSA", kid: "k", n: n.toString("base64url"), e: "AQAB" };
    const env = { SUPABASE_URL: supabase, SUPABASE_JWKS: JSON.stringify({ keys: [jwk] }) };
    t.mock.method(globalThis, "fetch", async () => Response.json({ keys: [jwk] }));
    const { error } = await createSupabaseContext(request, { env });
    return [error.reason, error.message];
  };
  for (const bits of [2048, 8192, 16_384]) assert.equal((await refusal(bits))[0], "invalid_signature", `${bits}`);
  for (const bits of [2047, 16_385]) {
    const [reason, message] = await refusal(bits);
    assert.equal(reason, "unknown_key");
    assert.match(message, /is not used: its modulus has not 2,048 to 16,384 bits/);
  }
});
