/** The doctor, in a page and on the command line: nothing to say of a system that is right, and of each wrong one what to change. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { launch } from "./support/browser.mjs";
import { openBundle } from "./support/bundled-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { startStack } from "./support/stack.mjs";
import { bundle, event, gatewayToken, isReal, json, startWrongServer } from "./support/wrong-server.mjs";

const run = promisify(execFile);
const SESSION = "a.user.session";

let installed;
let browser;
let server;
let opened;

before(async () => {
  installed = await installPackage();
  browser = await launch();
  server = await startWrongServer();
  opened = await openBundle(browser, installed, "doctor.js");
});
after(async () => {
  await opened?.close();
  await browser?.close();
  await server?.stop();
  await installed?.remove();
});

const MARKS = { "ok   ": true, "FAIL ": false, "skip ": null };

/** The report as it is printed, in its parts. */
function lines(text) {
  const found = [];
  for (const line of text.trimEnd().split("\n")) {
    const mark = line.slice(0, 5);
    if (mark in MARKS) found.push({ check: line.slice(6), ok: MARKS[mark], more: "" });
    else found.at(-1).more += `${line.trim()} `;
  }
  return found;
}

/** Asks the doctor in the page. */
async function inPage(options = {}, session = SESSION) {
  const text = await opened.page.evaluate(
    async ([url, options, session]) => {
      const client = app.createClient({
        behestUrl: url,
        supabaseUrl: url,
        getAccessToken: () => session,
        maxRetries: 0,
        ...options,
      });
      return String(await client.doctor());
    },
    [server.url, options, session],
  );
  return lines(text);
}

/** Asks the doctor on the command line. */
async function inShell(flags = {}, session = SESSION) {
  const given = { "--behest-url": server.url, "--supabase-url": server.url, "--origin": opened.origin, ...flags };
  const program = path.join(installed.folder, "node_modules/.bin/behest-client");
  const env = { ...process.env, SUPABASE_ACCESS_TOKEN: session };
  const {
    stdout,
    stderr,
    code = 0,
  } = await run(
    program,
    [
      "doctor",
      ...Object.entries(given)
        .flat()
        .filter((flag) => flag !== undefined),
    ],
    { env },
  ).catch((failed) => failed);
  return { found: lines(stdout || "ok    nothing"), stderr, code };
}

const PATHS = { page: inPage, shell: async (options, session) => (await inShell({}, session)).found };

test("nothing is wrong with a right system, and both say the same", LIMIT, async () => {
  server.use({});
  const page = await inPage();
  assert.deepEqual(
    page.filter(({ ok }) => ok !== true),
    [],
  );
  const { found, code } = await inShell();
  assert.equal(code, 0);
  const checks = (lines) => lines.map(({ check }) => check.replace(/ \(.*/, ""));
  assert.deepEqual(checks(found), checks(page));
  assert.equal(page.length, 10);
});

test("nor with behest-local; an origin that it does not allow is named with the setting of each server", LIMIT, async () => {
  const stack = await startStack(installed);
  try {
    const session = await stack.session();
    const flags = { "--behest-url": stack.gateway, "--supabase-url": stack.supabase, "--origin": stack.page };
    const good = await inShell(flags, session);
    assert.deepEqual(
      good.found.filter(({ ok }) => ok !== true),
      [],
    );
    assert.equal(good.code, 0);
    for (const elsewhere of ["http://elsewhere.example", "tauri://localhost"]) {
      const { found, code } = await inShell({ ...flags, "--origin": elsewhere }, session);
      assert.equal(code, 1);
      const wrong = found.filter(({ ok }) => ok === false);
      assert.equal(wrong.length, 2);
      assert.match(wrong[0].more, new RegExp(`-> Set CORS_ORIGIN of the token function to exactly ${elsewhere}`));
      assert.match(wrong[1].more, new RegExp(`-> Add exactly ${elsewhere} to Allowed Origins in the Behest dashboard`));
    }

    // From a page whose origin the servers do not know.
    const urls = { behestUrl: stack.gateway, supabaseUrl: stack.supabase };
    const page = (await inPage(urls, session)).filter(({ ok }) => ok === false);
    assert.match(page[0].more, /-> Set CORS_ORIGIN of the token function to exactly http:\/\/127\.0\.0\.1:\d+/);
    assert.match(page[1].more, /-> Add exactly http:\/\/127\.0\.0\.1:\d+ to Allowed Origins/);
  } finally {
    await stack.stop();
  }
});

const noOrigin = (headers) => (headers["access-control-allow-origin"] = undefined);
const answers = (status, body, headers) => (request, response) =>
  request.method === "OPTIONS" ? false : json(response, status, body, headers);
/** Only the call with a real token is answered so. */
const really = (reply) => (request, response, body) => (isReal(request) ? reply(response, body) : false);
const text = (status, type, body) => (request, response) =>
  request.method === "OPTIONS" ? false : void response.writeHead(status, { "content-type": type }).end(body);
/** `claims` of the second in which it is minted. */
const minted = (claims) => {
  const answer = (response) => json(response, 200, bundle(gatewayToken(claims(Math.floor(Date.now() / 1000)))));
  return { token: { answer: really(answer) } };
};
const streams = (...pieces) => ({
  gateway: {
    answer: really((response) => void response.writeHead(200, { "content-type": "text/event-stream" }).end(pieces.join(""))),
  },
});

/** Each system is wrong in one way. `page` and `shell` say what differs between the two. */
const WRONG = [
  [
    "the token function does not allow the origin",
    { token: { cors: noOrigin } },
    /token function may be called/,
    /CORS_ORIGIN .* exactly http:\/\/127\.0\.0\.1:\d+/,
  ],
  [
    "the token function allows another origin",
    { token: { cors: (headers) => (headers["access-control-allow-origin"] = "http://127.0.0.1/") } },
    /token function may be called/,
    /CORS_ORIGIN/,
  ],
  [
    "the gateway does not allow the origin",
    { gateway: { cors: noOrigin } },
    /gateway may be called/,
    /Allowed Origins in the Behest dashboard/,
  ],
  [
    "the gateway allows another origin",
    { gateway: { cors: (headers) => (headers["access-control-allow-origin"] = "http://localhost:2") } },
    /gateway may be called/,
    /Allowed Origins/,
  ],
  [
    "the gateway does not allow x-session-id",
    { gateway: { cors: (headers) => (headers["access-control-allow-headers"] = "authorization, content-type") } },
    /gateway may be called/,
    /x-session-id/,
  ],
  [
    "the token function does not allow authorization",
    { token: { cors: (headers) => (headers["access-control-allow-headers"] = "content-type") } },
    /token function may be called/,
    /authorization/,
  ],
  [
    "the token function refuses OPTIONS",
    {
      token: { answer: (request, response) => (request.method === "OPTIONS" ? void response.writeHead(405).end() : false) },
    },
    /token function may be called/,
    /Answer OPTIONS with 204/,
  ],
  [
    "there is no token function",
    { token: { answer: answers(404, { error: "not found" }) } },
    /token function is what answers/,
    /Deploy it under this name/,
  ],
  [
    "the token function fails",
    { token: { answer: answers(500, { error: "no", code: "misconfigured", hint: "Set BEHEST_KEY." }) } },
    /token function is what answers/,
    /Set BEHEST_KEY\..*-> See its log/,
  ],
  [
    "the token function mints for anybody",
    { token: { answer: answers(200, bundle()) } },
    /token function is what answers/,
    /verify the user's session/,
  ],
  [
    "supabaseUrl leads to a web page",
    { token: { answer: text(200, "text/html", "<!doctype html>") } },
    /token function is what answers/,
    /Deploy it|correct functionName/,
  ],
  [
    "behestUrl leads to a web page",
    { gateway: { answer: text(200, "text/html", "<!doctype html>") } },
    /gateway is what answers/,
    /Correct behestUrl/,
  ],
  [
    "behestUrl leads to another API",
    { gateway: { answer: answers(404, {}) } },
    /gateway is what answers/,
    /Correct behestUrl/,
  ],
  [
    "the gateway redirects",
    {
      gateway: {
        answer: (request, response) =>
          request.method === "OPTIONS" ? false : void response.writeHead(307, { location: "/elsewhere" }).end(),
      },
    },
    /gateway is what answers/,
    /where it leads/,
  ],
  [
    "the gateway is no gateway: it accepts anything",
    { gateway: { answer: answers(200, {}) } },
    /gateway is what answers/,
    /no Behest gateway/,
  ],
  [
    "the gateway is broken",
    { gateway: { answer: answers(502, { error: { message: "upstream gone" } }) } },
    /gateway is what answers/,
    /upstream gone/,
  ],
  [
    "the token function does not accept the session",
    {
      token: {
        answer: really((response) => json(response, 401, { error: "no", code: "token_expired", hint: "Sign in again." })),
      },
    },
    /gives a token/,
    /Sign in again/,
  ],
  [
    "the token function gives something else",
    { token: { answer: really((response) => json(response, 200, { jwt: "" })) } },
    /gives a token/,
    /\{token, ttl, sessionId, expiresAt\}/,
  ],
  [
    "token function and gateway are of different projects",
    { gateway: { answer: really((response) => json(response, 401, { error: { code: "invalid_token" } })) } },
    /accepts the token/,
    /same Behest project/,
  ],
  [
    "the project has no model",
    { gateway: { answer: really((response) => json(response, 422, { error: { code: "PROVIDER_NOT_CONFIGURED" } })) } },
    /accepts the token/,
    /Choose a model/,
  ],
  [
    "the plan is spent",
    { gateway: { answer: really((response) => json(response, 402, { error: { code: "quota_exceeded" } })) } },
    /accepts the token/,
    /allowance/,
  ],
  [
    "the project is paused",
    { gateway: { answer: really((response) => json(response, 403, { error: { code: "forbidden" } })) } },
    /accepts the token/,
    /paused/,
  ],
  [
    "the answer is no stream",
    { gateway: { answer: really((response) => json(response, 200, { choices: [] })) } },
    /answers stream in/,
    /its model can stream/,
  ],
  [
    "a proxy collects the stream",
    streams(...Array.from("a long answer", (letter) => event(letter)), "data: [DONE]\n\n"),
    /answers stream in/,
    /proxy_buffering off/,
  ],
  ["the stream reports an error", streams('data: {"error":{"message":"no key"}}\n\n'), /answers stream in/, /provider key/],
  ["the stream has no end", streams(event("a")), /answers stream in/, /limits the time/],
  ["the stream is empty", streams(""), /answers stream in/, /model gave nothing/],
  [
    "the token is no JWT",
    { token: { answer: really((response) => json(response, 200, bundle("opaque"))) } },
    /token is as it should be/,
    /as it is/,
  ],
  ["the token never expires", minted(() => ({ exp: undefined })), /token is as it should be/, /ttl of 60 to 86400/],
  [
    "the token is too short-lived",
    minted((now) => ({ exp: now + 30 })),
    /token is as it should be/,
    /900 is usual/,
  ],
  [
    "the clocks differ",
    minted((now) => ({ iat: now - 600 })),
    /token is as it should be/,
    /clock is 6\d\d s ahead.*Set the clock/,
  ],
  ["the token's role is too great", minted(() => ({ role: "admin" })), /token is as it should be/, /Leave out `role`/],
  [
    "the token is for everybody",
    minted(() => ({ uid: "default" })),
    /token is as it should be/,
    /user_id set to the session's user/,
  ],
];

for (const [place, ask] of Object.entries(PATHS)) {
  describe(`one thing is wrong, seen from the ${place}`, () => {
    for (const [name, change, check, fix] of WRONG) {
      test(name, LIMIT, async () => {
        server.use(change);
        const found = (await ask()).filter(({ ok }) => ok === false);
        assert.deepEqual(found.length, 1, JSON.stringify(found, null, 2));
        assert.match(found[0].check, check);
        assert.match(found[0].more, fix);
      });
    }
  });
}

test("what is wrong on this side: the session, URLs, nobody there, a policy", LIMIT, async () => {
  server.use({});
  const only = (found) => {
    const wrong = found.filter(({ ok }) => ok === false);
    assert.equal(wrong.length, 1, JSON.stringify(found, null, 2));
    return `${wrong[0].check} ${wrong[0].more}`;
  };
  assert.match(only(await inPage({}, null)), /somebody is signed in .*Sign in/);
  assert.match(only(await inPage({}, "sb_publishable_123456789")), /somebody is signed in .*apikey/);
  const nobody = "http://127.0.0.1:9";
  assert.match(
    only(await inPage({ behestUrl: nobody })),
    /gateway may be called .*nothing answers at http:\/\/127\.0\.0\.1:9/,
  );
  assert.match(only(await inPage({ tokenUrl: `${nobody}/token` })), /token function may be called .*nothing answers/);
  const swapped = await inPage({ behestUrl: "https://abc.supabase.co" });
  assert.match(swapped[0].more, /Swap behestUrl and supabaseUrl/);
  const open = await inPage({ behestUrl: "http://gateway.invalid" });
  assert.match(open[0].more, /Use https:\/\/gateway\.invalid/);

  const strict = await openBundle(browser, installed, "doctor.js", {
    headers: {
      "content-security-policy": `connect-src 'self' ${server.url.replace(/\d+$/, "1")}; script-src 'self' 'wasm-unsafe-eval'`,
    },
  });
  const before = opened;
  opened = strict;
  try {
    const found = (await inPage()).filter(({ ok }) => ok === false);
    assert.equal(found.length, 2);
    for (const { more } of found)
      assert.match(more, new RegExp(`Content-Security-Policy.*Add ${server.url} to connect-src`));
  } finally {
    opened = before;
    await strict.close();
  }
});

test("a server that falls silent is a line of the report, and keeps nobody waiting", LIMIT, async () => {
  const only = (found) => {
    const wrong = found.filter(({ ok }) => ok === false);
    assert.equal(wrong.length, 1, JSON.stringify(found, null, 2));
    return `${wrong[0].check} ${wrong[0].more}`;
  };
  const falls = (response) => void response.writeHead(200, { "content-type": "text/event-stream" }).write(event("a"));
  server.use({ gateway: { answer: really(falls) } });
  assert.match(only(await inPage({ timeouts: { idleMs: 300 } })), /answers stream in .*fell silent for 300 ms, after \d+ characters/);
  const pings = (response) => {
    falls(response);
    const pinging = setInterval(() => response.write(": ping\n\n"), 20);
    response.on("close", () => clearInterval(pinging));
  };
  server.use({ gateway: { answer: really(pings) } });
  assert.match(only(await inPage({ timeouts: { contentMs: 300 } })), /answers stream in .*had no end within 300 ms, after \d+ characters/);

  // Neither its preflight nor whoever asks whether it is there gets an answer that helps.
  const mute = { gateway: { cors: noOrigin, answer: ({ method }) => (method === "GET" ? undefined : false) } };
  server.use(mute);
  assert.match(only(await inPage()), /gateway may be called .*nothing answers/);
  const reason = await opened.page.evaluate(async (url) => {
    const behest = app.createClient({ behestUrl: url, supabaseUrl: url, getAccessToken: () => "a.user.session", maxRetries: 0 });
    return behest.fetch(`${url}/v1/chat/completions`, { method: "POST", body: "{}" }).catch(({ reason }) => reason);
  }, server.url);
  assert.equal(reason, "network");
});

test("behest.fetch names the setting, too", LIMIT, async () => {
  const ask = () =>
    opened.page.evaluate(async (url) => {
      const behest = app.createClient({
        behestUrl: url,
        supabaseUrl: url,
        getAccessToken: () => "a.user.session",
        maxRetries: 0,
      });
      const init = { method: "POST", body: "{}" };
      return behest.fetch(`${behest.openaiBaseUrl}/chat/completions`, init).then(
        ({ status }) => status,
        ({ reason, action, message, cause }) => [reason, action, message, cause.reason],
      );
    }, server.url);
  server.use({});
  assert.equal(await ask(), 200);
  server.use({ gateway: { cors: noOrigin } });
  const [reason, action, message, cause] = await ask();
  assert.deepEqual([reason, action, cause], ["network", "fix_config", "network"]);
  assert.match(message, new RegExp(`Add exactly ${opened.origin} to Allowed Origins`));
  server.use({ token: { cors: noOrigin } });
  assert.match((await ask())[2], new RegExp(`Set CORS_ORIGIN of the token function to exactly ${opened.origin}`));
});

test("the command line: no session, wrong flags, help", LIMIT, async () => {
  server.use({});
  const { found, code } = await inShell({}, "");
  assert.equal(code, 0);
  assert.deepEqual(
    found.filter(({ ok }) => ok === false),
    [],
  );
  assert.ok(found.some(({ check, ok }) => ok === null && /somebody is signed in/.test(check)));
  const origin = await inShell({ "--origin": `${opened.origin}/` });
  assert.deepEqual(
    [origin.code, origin.stderr.trim()],
    [2, `--origin: write scheme, host and port without a path, as in ${opened.origin}`],
  );
  const missing = await inShell({ "--behest-url": "nonsense" });
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /^The option --behest-url must be an absolute http\(s\) URL/);
  const program = path.join(installed.packageFolder, "bin/behest-client.js");
  assert.match((await run(process.execPath, [program, "--help"])).stdout, /Usage: npx behest-client doctor/);
});
