/** Runs the matrix: makes cells ready, has a client carry them out, and judges. */
import { createServer } from "node:http";
import { Readable } from "node:stream";

import { token } from "../js/server/tokens.mjs";
import { freePorts, listen } from "../js/support/loopback.mjs";
import { judge, RETRIES } from "./judge.mjs";
import { SECRETS, startFaultServer } from "./server.mjs";

/** What ends a cell whose fault is silence; and what must never end another, however busy the machine is. */
const QUICK_MS = 3_000;
const SLOW_MS = 50_000;
const SUPABASE_KEY = "sb_publishable_faults";
const MINT_KEY = "behest_sk_live_0123456789faults";

export async function startRun({ createTokenEndpoint, origins, ports = 1 }) {
  const server = await startFaultServer({ ports });
  const nowhere = `http://127.0.0.1:${await freePorts(1)}`;
  const endpoints = [];
  const log = [];
  /** Our endpoint, with the servers behind it where they are said to be. */
  async function endpoint(supabaseUrl, behestBaseUrl, cells) {
    const handle = createTokenEndpoint(
      { SUPABASE_URL: supabaseUrl, SUPABASE_PUBLISHABLE_KEY: SUPABASE_KEY, BEHEST_KEY: MINT_KEY, BEHEST_BASE_URL: behestBaseUrl, CORS_ORIGIN: origins.join(","), SUPABASE_JWKS_URL: `${server.urls[0]}/auth/v1/.well-known/jwks.json` },
    );
    const host = createServer({ keepAlive: false }, async (incoming, outgoing) => {
      const request = new Request(`http://host${incoming.url}`, { method: incoming.method, headers: incoming.headers, ...(incoming.method === "POST" && { body: Readable.toWeb(incoming), duplex: "half" }) });
      if (incoming.method === "POST") {
        const known = cells.get(incoming.url.slice(1));
        (known.requests.function ??= []).push({});
      }
      const response = await handle(request);
      outgoing.setHeader("connection", "close");
      outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(Buffer.from(await response.arrayBuffer()));
    });
    const { url, stop } = await listen(host);
    endpoints.push(stop);
    return url;
  }
  const known = new Map();
  const [url] = server.urls;
  const usual = [];
  for (let n = 0; n < ports; n += 1) usual.push(await endpoint(url, url, known));
  const behind = {
    "refused plan": await endpoint(nowhere, url, known),
    "refused mint": await endpoint(url, nowhere, known),
    "no such host plan": await endpoint("https://behest-faults.invalid", url, known),
    "no such host mint": await endpoint(url, "https://behest-faults.invalid", known),
  };
  const supabaseOf = { "refused plan": nowhere, "no such host plan": "https://behest-faults.invalid" };

  /** A cell as a client is told of it. */
  function prepare(cell, index) {
    const { fault, hop, kind } = cell;
    const id = `cell-${index}-${Math.random().toString(36).slice(2, 8)}`;
    const at = server.urls[index % server.urls.length];
    const elsewhere = fault.answer === "refused" ? nowhere : "https://behest-faults.invalid";
    const base = (of) => `${typeof fault.answer === "string" && of === hop ? elsewhere : at}/c/${id}`;
    const limit = fault.quick ? QUICK_MS : SLOW_MS;
    const options = { kind, behestUrl: base("gateway"), tokenUrl: `${base("function")}/function`, seenUrl: `${at}/c/${id}/seen`, session: `${SECRETS.session}-${id}`, maxRetries: RETRIES };
    // The limit of the hop that is tried; the others have all the time they need.
    options.timeouts = { sessionMs: SLOW_MS, tokenMs: SLOW_MS, firstByteMs: SLOW_MS, idleMs: SLOW_MS, contentMs: SLOW_MS };
    if (hop === "session") Object.assign(options, { sessionUrl: `${base("session")}/session` });
    const limits = { session: ["sessionMs"], function: ["tokenMs"], plan: ["tokenMs"], mint: ["tokenMs"], gateway: ["firstByteMs", "idleMs", "contentMs"] };
    for (const name of limits[hop]) options.timeouts[name] = limit;
    const entry = server.add(id, { hop, kind, answer: fault.answer });
    known.set(id, entry);
    if (hop === "plan" || hop === "mint") {
      const name = `${fault.answer} ${hop}`;
      options.tokenUrl = `${behind[name] ?? usual[index % usual.length]}/${id}`;
      options.session = token({ claims: { sub: id } }, supabaseOf[name] ?? url);
    }
    return { id, cell, options, entry };
  }

  return {
    prepare,
    server,
    log,
    /** What was wrong with a cell, once its connections are closed. */
    async verdict({ id, cell, options, entry }, client, told) {
      const wrong = judge(cell, client, told, entry, [`${SECRETS.token}-`, options.session, MINT_KEY]);
      for (const { bearer } of entry.requests.gateway ?? []) {
        if (bearer !== `Bearer ${SECRETS.token}-${id}`) wrong.push(`the gateway was sent ${bearer}`);
      }
      // The app's own request for its session is not the client's to end.
      if (cell.hop === "session") return wrong;
      let timer;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, 20_000, true)));
      if (await Promise.race([entry.quiet(), late])) wrong.push(`${entry.open} connections are open 20 s later`);
      clearTimeout(timer);
      return wrong;
    },
    stop() {
      server.stop();
      for (const stop of endpoints) stop();
    },
  };
}
