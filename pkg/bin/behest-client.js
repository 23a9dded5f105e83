#!/usr/bin/env node
import { parseArgs } from "node:util";

import { BehestError, createClient } from "../node.js";

const USAGE = `Usage: npx behest-client doctor --behest-url URL --supabase-url URL [options]

Looks at the whole way from the session to a streamed answer, and says what to change.

  --behest-url URL     the Behest gateway
  --supabase-url URL   the Supabase project
  --function NAME      the token function (default: behest-token)
  --token-url URL      the token endpoint, if it is no Supabase Edge Function
  --origin ORIGIN      whose CORS rules are asked for: the origin of your page, as in http://localhost:5173
  --no-stream          do not ask the gateway for an answer

SUPABASE_ACCESS_TOKEN is the session of a signed-in user (session.access_token). Without it, what needs one is skipped.
`;

const options = {
  "behest-url": { type: "string" },
  "supabase-url": { type: "string" },
  function: { type: "string" },
  "token-url": { type: "string" },
  origin: { type: "string" },
  "no-stream": { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

async function main() {
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help || positionals.join() !== "doctor") {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const session = process.env.SUPABASE_ACCESS_TOKEN || null;
  const behest = createClient({
    behestUrl: values["behest-url"],
    supabaseUrl: values["supabase-url"],
    functionName: values.function,
    tokenUrl: values["token-url"],
    getAccessToken: () => session,
  });
  const report = await behest.doctor({
    origin: originOf(values.origin),
    stream: !values["no-stream"],
    session: session !== null,
  });
  console.log(String(report));
  return report.ok ? 0 : 1;
}

/** An origin as browsers send it: a path or a slash at its end would match nothing. */
function originOf(text) {
  if (text === undefined) return undefined;
  const { origin, protocol, host } = URL.canParse(text) ? new URL(text) : {};
  // Of an app's own scheme, such as tauri://localhost, web views send scheme and host.
  if (text === (origin === "null" && host ? `${protocol}//${host}` : origin)) return text;
  throw new TypeError(
    `--origin: write scheme, host and port without a path, as in ${origin && origin !== "null" ? origin : "http://localhost:5173"}`,
  );
}

/** What the client says of its options, in the words of the flags that they come from. */
const inFlags = (text) => text.replace(/\b(behest|supabase|token)Url\b/g, "--$1-url").replace("functionName", "--function");

main().then(
  (code) => (process.exitCode = code),
  (error) => {
    const isUsers =
      error instanceof BehestError || error?.code?.startsWith?.("ERR_PARSE_ARGS") || error instanceof TypeError;
    console.error(isUsers ? inFlags(error.message) : error);
    process.exitCode = 2;
  },
);
