import { BehestError } from "../error.js";
import { checkUrls, examine } from "./boundary.js";
import { allowAtFunction, allowAtGateway, pageOrigin } from "./cors.js";
import { checkStream } from "./stream-check.js";
import { checkClaims } from "./claims.js";
import { Report } from "./report.js";

/** Failures that say something about the session, not about a server. */
const OF_SESSION = /^(signed_out|session_failed|session_timeout|api_key_as_bearer|malformed_token|role_refused)$/;

/**
 * Looks at the whole way from the session to a streamed answer, and says what to change. Never rejects: what goes wrong is a
 * line. `origin` is whose CORS rules are asked for where there is no page; without `stream` no answer is asked for; without
 * `session` nobody is expected to be signed in.
 */
export default async function doctor(start, config, driver, conversation, options) {
  const { origin = pageOrigin(), stream = true, session = true } = options ?? {};
  const report = new Report();
  const { gatewayUrl, functionUrl, apiKey } = config;
  checkUrls(report, config);

  const headers = { authorization: "Bearer doctor", "content-type": "application/json" };
  const toFunction = {
    name: "the token function",
    url: functionUrl,
    headers: apiKey ? { ...headers, apikey: apiKey } : headers,
    allow: allowAtFunction,
    missing: "Deploy it under this name, or correct functionName (or tokenUrl).",
    open: "It mints for anybody: verify the user's session before minting.",
  };
  const toGateway = {
    name: "the gateway",
    url: `${gatewayUrl}/v1/chat/completions`,
    headers: { ...headers, "x-session-id": "doctor" },
    allow: allowAtGateway,
    missing: "Correct behestUrl: the project's host, as in https://amber-fox-042.behest.app.",
    open: "It answers without a valid token: correct behestUrl, or this is no Behest gateway.",
  };
  const functionAnswers = await examine(report, toFunction, origin);
  const gatewayAnswers = await examine(report, toGateway, origin);

  // A new token, or the function would not be asked.
  driver.clearToken(conversation);
  const ready = await start("warm", "").then(
    () => true,
    (error) => refused(report, error, functionAnswers, session),
  );
  if (!ready || !gatewayAnswers || !stream) {
    const why = !ready ? "there is no token" : !gatewayAnswers ? "the gateway cannot be called" : "stream is off";
    for (const what of ["the gateway accepts the token", "the token is as it should be", "answers stream in"])
      report.skip(what, why);
    return report;
  }
  report.pass("somebody is signed in");
  report.pass("the token function gives a token");
  const token = await checkStream(report, start, config);
  checkClaims(report, token);
  return report;
}

/** Why there is no token. */
function refused(report, error, functionAnswers, session) {
  const { reason, message, hint } = error instanceof BehestError ? error : { message: String(error), hint: "" };
  if (reason === "wasm_load_failed") report.fail("the WebAssembly module loads", message, hint);
  else if (reason === "signed_out" && !session) report.skip("somebody is signed in", "there is no session");
  else if (OF_SESSION.test(reason)) report.fail("somebody is signed in", message, hint);
  else if (functionAnswers) report.fail("the token function gives a token", message, hint);
  else report.skip("the token function gives a token", "it cannot be called");
  return false;
}
