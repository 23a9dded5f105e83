/**
 * Made-up input for the packed package and for a second implementation of the same format: `eventsource-parser` and `JSON.parse`
 * for streams, `jose` for tokens and key sets. Where they differ, one of them is wrong, or the difference is named here.
 */
import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { test } from "node:test";

import { createClient, decodeToken, installed, lab, urls } from "../js/support/in-node.mjs";
import { keyPair } from "../js/support/key-pair.mjs";
import { createParser, jose } from "../js/support/second.mjs";
import { random } from "./random.mjs";

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 2);
/** Enough for each rule to have been met, however busy the machine is. */
const FEWEST = 400;
const LIMIT = { timeout: SECONDS * 1000 + 240_000 };
const SEED = 20_261_128;

const { createSupabaseContext } = await installed.load("server.js");

/** What is drawn from a sequence. */
function draws(seed) {
  const chance = random(seed);
  const below = (limit) => Math.floor(chance() * limit);
  return { chance, below, one: (list) => list[below(list.length)] };
}

/** Runs `attempt(draw)` as long as there is time, and prints how often. */
async function fuzz(t, attempt) {
  const until = Date.now() + SECONDS * 1000;
  let executions = 0;
  for (; executions < FEWEST || Date.now() < until; executions += 1) await attempt(draws(SEED + executions));
  t.diagnostic(`${executions} executions`);
}

const WORDS = ['"', "\\", "\\u0000", "\\ud83d", "\\ude00", "\u00fc", "\u{1f30d}", "{", "}", "[", "]", ":", ",", "null", "1e999", "-0", "01", "\r", "\n", "\r\n", "\n\n", "data:", "data", "event: error\n", "id: 1\n", "retry: 5\n", ": ", "[DONE]", "\ufeff", " ", "\t", "\0", "__proto__", '"content":', '"index":1,'];
const STREAMS = [
  'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\ndata: {"id":"c","choices":[{"index":0,"delta":{"content":" you"},"finish_reason":null}]}\n\ndata: {"id":"c","choices":[{"index":0,"delta":{"content":"!"},"finish_reason":null}]}\n\ndata: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
  '\ufeff: ping\r\nid: 7\r\ndata: {"choices":[{"delta":\r\ndata: {"content":"\\ud83d"}}]}\r\n\r\ndata: {"choices":[{"delta":{"content":"\\ude00"}}]}\r\n\r\n',
  'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}}],"usage":{"prompt_tokens":1}}\n\nevent: error\ndata: {"message":"no"}\n\n',
  'data:{"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":{"content":"Gr\u00fc\u00dfe"}}],"x":[1.5,-0,1e3,true,{"a":{}}]}\r\rdata: {"error":null,"choices":[]}\n\ndata: 7\n\ndata: {"error":{"message":"no"}}\n\n',
];

/** A text made from others by small changes. */
function mutated({ chance, below, one }, seeds, words) {
  let text = one(seeds);
  for (let changes = below(5); changes > 0; changes -= 1) {
    const at = below(text.length + 1);
    const to = Math.min(at + below(9), text.length);
    if (chance() < 0.3) text = text.slice(0, at) + one(words) + text.slice(at);
    else if (chance() < 0.4) text = text.slice(0, at) + text.slice(to);
    else if (chance() < 0.5) text = text.slice(0, at) + one(words) + text.slice(to);
    else if (chance() < 0.5) text = text.slice(0, to) + text.slice(at, to).repeat(below(20)) + text.slice(to);
    else {
      const other = one(seeds);
      text = text.slice(0, at) + other.slice(below(other.length));
    }
  }
  return text;
}

/** In pieces of any size, in the middle of characters too. */
function cut({ below }, bytes) {
  const pieces = [];
  const size = 1 + below(40);
  for (let at = 0; at < bytes.length; ) pieces.push(bytes.subarray(at, (at += 1 + below(size))));
  return pieces;
}

/** What the client makes of a stream. */
async function ours(pieces, asText) {
  const fetch = async (request) => {
    if (lab.isMint(request)) return Response.json({ token: "t", ttl: 900 });
    const left = [...pieces];
    const body = new ReadableStream({
      pull(out) {
        const piece = left.shift();
        if (piece) out.enqueue(new Uint8Array(piece));
        else out.close();
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  const behest = createClient({ ...urls, fetch, getAccessToken: () => lab.accessToken("alice") });
  const stream = await behest.chat.completions.create({ messages: [], stream: true });
  const got = [];
  try {
    for await (const piece of asText ? stream.text() : stream) got.push(piece);
  } catch ({ reason }) {
    return { got, reason, text: stream.content, outcome: stream.outcome };
  }
  return { got, text: stream.content, outcome: stream.outcome };
}

/** Blank in ASCII; a byte order mark may stand before it. */
const trimmed = (data) => data.replace(/^\ufeff/, "").replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "");
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const reports = (error) => (typeof error === "string" ? error !== "" : isObject(error) && Object.keys(error).length > 0);

/** What the others make of it. `got`: the chunks; `isWhole`: its end was said. */
function theirs(bytes) {
  const text = new TextDecoder().decode(bytes);
  const events = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  // It waits for what may follow a carriage return.
  parser.feed(text.endsWith("\r") ? `${text}\n` : text);
  const finished = events.length;
  // The client takes a last event without its blank line for one, if it is whole.
  parser.feed("\n\n");
  const made = { got: [], text: "", isFailed: false, isWhole: false };
  const over = (isFailed, isWhole) => ({ ...made, isFailed: isFailed || made.reason === "error", isWhole: isWhole || made.reason !== undefined });
  for (const [index, { event, data: sent }] of events.entries()) {
    const data = trimmed(sent);
    if (data === "" || data === "null") continue;
    if (data === "[DONE]") return over(false, true);
    let chunk;
    try {
      chunk = JSON.parse(data);
    } catch {
      if (event !== "error") return over(index < finished, false);
    }
    if (event === "error" || (isObject(chunk) && reports(chunk.error))) return over(true);
    if (!isObject(chunk)) continue;
    made.got.push(chunk);
    const choices = Array.isArray(chunk.choices) ? chunk.choices : [];
    const first = choices.find((choice) => isObject(choice) && (choice.index ?? 0) === 0);
    if (isObject(first?.delta) && typeof first.delta.content === "string") made.text += first.delta.content;
    if (typeof first?.finish_reason === "string" && first.finish_reason !== "") made.reason = first.finish_reason;
  }
  return over(false, false);
}

/** Half a character is kept for its other half, and is nothing where that does not come. */
const whole = (text) => text.toWellFormed().replaceAll("\ufffd", "");

test("streams, beside eventsource-parser and JSON.parse", LIMIT, (t) =>
  fuzz(t, async (draw) => {
    const bytes = new TextEncoder().encode(mutated(draw, STREAMS, WORDS));
    if (draw.chance() < 0.3) bytes[draw.below(bytes.length)] = draw.below(256);
    const want = theirs(bytes);
    const say = JSON.stringify(Buffer.from(bytes).toString("latin1"));
    for (const asText of [false, true]) {
      const { got, text, reason, outcome } = await ours(cut(draw, bytes), asText);
      assert.equal(whole(text), whole(want.text), say);
      if (asText) assert.equal(whole(got.join("")), whole(want.text), say);
      else assert.deepEqual(got, want.got, say);
      const isWhole = ["complete", "length", "content_filter", "tool_calls"].includes(outcome);
      assert.equal(isWhole, want.isWhole && !want.isFailed, `${outcome}: ${say}`);
      assert.equal(reason !== undefined && reason !== "truncated", want.isFailed, `${reason}: ${say}`);
    }
  }));

/** Nobody is there: what is not in the given key set is in none. */
const PROJECT = "http://127.0.0.1:1";
const ISSUER = `${PROJECT}/auth/v1`;
const encode = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** Keys by name, and the set that publishes them. */
const keys = Object.fromEntries(
  [["ec", "ec", { namedCurve: "P-256" }], ["rsa", "rsa", { modulusLength: 2048 }], ["ed", "ed25519"], ["stranger", "ec", { namedCurve: "P-256" }]].map(([name, type, options]) => [name, keyPair(type, options)]),
);
const published = { keys: ["ec", "rsa", "ed"].map((kid) => ({ ...keys[kid].publicKey.export({ format: "jwk" }), kid, use: "sig" })) };
const ALGORITHMS = ["ES256", "RS256", "EdDSA"];
const OF_KEY = { ec: "ES256", rsa: "RS256", ed: "EdDSA", stranger: "ES256" };

/** A token that is good, or wrong in some way: in a header, in a claim, in its signature, or in its letters. */
async function made(draw) {
  const { chance, one } = draw;
  const now = Math.floor(Date.now() / 1000);
  const rarely = (value, others) => (chance() < 0.12 ? one(others) : value);
  const name = rarely(one(["ec", "rsa", "ed"]), ["stranger"]);
  const header = {
    alg: rarely(OF_KEY[name], ["none", "HS256", "ES384", "RS512", "PS256", "es256", "", 7, null]),
    kid: rarely(name === "stranger" ? "ec" : name, ["rsa", "unknown", 7, undefined]),
    typ: rarely("JWT", [undefined, "jwt", "at+jwt", 7]),
    ...(chance() < 0.06 && { crit: one([["exp"], [], "exp", ["b64"]]), b64: one([true, false]) }),
  };
  const claims = {
    iss: rarely(ISSUER, [undefined, `${ISSUER}/`, "https://evil.example", "", 7, [ISSUER]]),
    aud: rarely("authenticated", [undefined, "anon", ["authenticated"], ["x", "authenticated"], [], 7, ""]),
    sub: rarely("user-1", [undefined, "", 7, null]),
    role: rarely("authenticated", ["anon", "service_role", undefined, 7]),
    iat: rarely(now - 10, [undefined, now + 3600, "1", 1.5]),
    exp: rarely(now + 3600, [undefined, now - 3600, now - 120, `${now + 3600}`, 1e300, -1, null, now + 3600.5]),
    nbf: rarely(undefined, [now - 10, now + 3600, "1", null]),
  };
  const payload = rarely(JSON.stringify(claims), ["", "null", "[]", '"x"', `${JSON.stringify(claims)} `, `\ufeff${JSON.stringify(claims)}`]);
  const text = `${encode(header)}.${encode(payload)}`;
  const key = await jose.importPKCS8(keys[name].privateKey.export({ type: "pkcs8", format: "pem" }), OF_KEY[name]);
  const [, , signature] = (await new jose.CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: OF_KEY[name] }).sign(key)).split(".");
  // Signed over what was sent.
  const dsaEncoding = "ieee-p1363";
  const own = sign(name === "ed" ? null : "sha256", Buffer.from(text), { key: keys[name].privateKey, ...(OF_KEY[name] === "ES256" && { dsaEncoding }) }).toString("base64url");
  const token = `${text}.${rarely(own, [signature, "", own.slice(0, -4), `${own}AAAA`])}`;
  return chance() < 0.25 ? mutated(draw, [token], [".", "=", "A", "-", "_", "+", "/", " ", "eyJ", "\u0000"]) : token;
}

/**
 * Rules of a session of a Supabase user, and of a verifier that knows no critical header, which jose leaves to its caller; and those
 * of RFC 7515 for its letters, which jose does not hold to: no white space, no padding, no stray bits, no byte order mark.
 */
function isSession({ sub, role }, { crit }, token) {
  const parts = token.split(".");
  const isExact = parts.every((part) => Buffer.from(part, "base64url").toString("base64url") === part);
  const isMarked = Buffer.from(parts[1], "base64url").subarray(0, 3).equals(Buffer.from("\ufeff"));
  const isUsers = typeof sub === "string" && sub !== "" && typeof role === "string" && !/^(anon|service_role)$/.test(role);
  return isUsers && crit === undefined && isExact && !isMarked;
}

test("tokens, beside jose", LIMIT, async (t) => {
  const set = jose.createLocalJWKSet(published);
  const env = { SUPABASE_URL: PROJECT, SUPABASE_JWKS: JSON.stringify(published), SUPABASE_PUBLISHABLE_KEY: "sb_publishable_x" };
  const seen = {};
  // That it is not there is logged each time.
  t.mock.method(console, "error", () => {});
  t.mock.method(console, "warn", () => {});
  await fuzz(t, async (draw) => {
    const token = await made(draw);
    let headers;
    try {
      headers = new Headers({ authorization: `Bearer ${token}` });
    } catch {
      // No header can carry it.
      return;
    }
    const { data, error } = await createSupabaseContext(new Request(PROJECT, { headers }), { auth: "user", env });
    const theirs = await jose
      .jwtVerify(token, set, { issuer: ISSUER, audience: "authenticated", algorithms: ALGORITHMS, requiredClaims: ["sub", "exp"], clockTolerance: 60 })
      .then(({ payload, protectedHeader }) => (isSession(payload, protectedHeader, token) ? payload : undefined), () => undefined);
    const reason = error?.reason ?? "let in";
    seen[reason] = (seen[reason] ?? 0) + 1;
    assert.equal(data !== null, theirs !== undefined, `${reason}: ${token}`);
    if (data) {
      assert.deepEqual({ ...data.jwtClaims }, { ...theirs });
      assert.equal(data.userClaims.id, theirs.sub);
    }
    // Reading without a check, too.
    const read = (decode) => {
      try {
        return decode(token);
      } catch {
        return undefined;
      }
    };
    const [claims, others] = [read(decodeToken), read(jose.decodeJwt)];
    if (others) assert.deepEqual(claims, others, token);
  });
  t.diagnostic(JSON.stringify(seen));
  assert.ok(seen["let in"] > FEWEST / 20 && Object.keys(seen).length > 5, "both kinds were met");
});
