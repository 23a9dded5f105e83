import { isReachable, pageOrigin } from "./cors.js";

const LIMIT_MS = 10_000;

const isLoopback = (host) => /^(localhost|127(\.\d+){3}|\[::1\]|.*\.localhost)$/.test(host);

/** What can be seen in the URLs alone. */
export function checkUrls(report, { gatewayUrl, functionUrl }) {
  const [gateway, token] = [new URL(gatewayUrl), new URL(functionUrl)];
  const check = "the URLs fit their servers";
  const insecure = [gateway, token].find(({ protocol, hostname }) => protocol === "http:" && !isLoopback(hostname));
  if (/\.supabase\.(co|in)$/.test(gateway.hostname) || /\.behest\.(app|ai)$/.test(token.hostname)) {
    report.fail(
      check,
      `behestUrl is ${gateway.origin}, and the token function is at ${token.origin}`,
      "Swap behestUrl and supabaseUrl.",
    );
  } else if (insecure) {
    report.fail(
      check,
      `${insecure.origin} is not encrypted: the token could be read on its way`,
      `Use https://${insecure.host}.`,
    );
  } else {
    report.pass(check);
  }
}

/**
 * One of the two servers: may this page call it, and does what answers look right? It is called as the client would, with a
 * token that is none. Gives whether it can be called.
 */
export async function examine(report, server, origin) {
  const { name, url, headers, allow } = server;
  const check = `${name} may be called from ${origin ?? "here"}`;
  const inPage = pageOrigin() !== undefined;
  const refusal = origin && !inPage ? await preflight(url, origin, headers) : undefined;
  if (refusal) {
    report.fail(check, `${url} ${refusal.said}`, refusal.ofOrigin ? allow(origin) : refusal.fix);
    return false;
  }
  const { response, blocked, thrown } = await call(url, headers);
  if (!response) {
    report.fail(check, ...(await unanswered({ ...server, blocked, thrown, origin: inPage && origin })));
    return false;
  }
  report.pass(check);
  return judge(report, server, response);
}

async function call(url, headers) {
  let blocked;
  const note = (event) => (blocked = event.effectiveDirective ?? "connect-src");
  globalThis.document?.addEventListener("securitypolicyviolation", note);
  try {
    const init = { method: "POST", headers, body: "{}", redirect: "manual", cache: "no-store" };
    return { response: await fetch(url, { ...init, signal: AbortSignal.timeout(LIMIT_MS) }) };
  } catch (thrown) {
    // The event comes after the rejection.
    await new Promise((resolve) => setTimeout(resolve));
    return { blocked, thrown };
  } finally {
    globalThis.document?.removeEventListener("securitypolicyviolation", note);
  }
}

/** What is wrong, and what to change. */
async function unanswered({ name, url, origin, blocked, thrown, allow }) {
  const server = new URL(url);
  if (blocked) return ["the page's own Content-Security-Policy forbids it", `Add ${server.origin} to ${blocked}.`];
  if (globalThis.navigator?.onLine === false) return ["this machine is offline", "Connect it, and try again."];
  if (
    globalThis.isSecureContext &&
    server.protocol === "http:" &&
    origin &&
    !isLoopback(server.hostname) &&
    origin.startsWith("https:")
  ) {
    return [`a page with https may not call ${server.origin}`, `Use https://${server.host}.`];
  }
  if (thrown?.name === "TimeoutError") {
    return [`${url} did not answer within ${LIMIT_MS / 1000} s`, `See whether ${name} runs, and what keeps it.`];
  }
  const nobody = [`nothing answers at ${server.origin}`, "Check the URL, and that the server runs."];
  if (!origin || origin === server.origin) return nobody;
  if (!(await isReachable(url))) return nobody;
  // A call without headers of its own needs no preflight: if that may be read, the origin is not the problem.
  const plain = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) }).catch(() => undefined);
  if (!plain) return [`the CORS rules of ${name} refuse this page`, allow(origin)];
  return [
    `${name} allows this page, but not what it sends: the preflight is refused`,
    "Answer OPTIONS with 204, and allow the headers authorization, content-type, x-session-id and x-thread-id (the function: authorization and content-type).",
  ];
}

/** A browser's preflight by hand, where there is no browser. Gives what is wrong with its answer. */
async function preflight(url, origin, headers) {
  const asked = Object.keys(headers);
  let answer;
  try {
    answer = await fetch(url, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": asked.join(",") },
      redirect: "manual",
      signal: AbortSignal.timeout(LIMIT_MS),
    });
  } catch {
    // The call itself says more.
    return undefined;
  }
  const allowed = answer.headers.get("access-control-allow-origin");
  if (allowed !== origin && allowed !== "*") {
    const said =
      allowed === null ? `does not allow ${origin} (status ${answer.status})` : `allows ${allowed} instead of ${origin}`;
    return { ofOrigin: true, said };
  }
  if (!answer.ok) return { said: `answers the preflight with ${answer.status}`, fix: "Answer OPTIONS with 204." };
  const listed = (answer.headers.get("access-control-allow-headers") ?? "").toLowerCase().split(/\s*,\s*/);
  // A star does not stand for authorization.
  const missing = asked.filter((name) => !listed.includes(name) && (name === "authorization" || !listed.includes("*")));
  if (missing.length > 0) {
    return {
      said: `does not allow the headers ${missing.join(", ")}`,
      fix: `Add ${missing.join(", ")} to its Access-Control-Allow-Headers.`,
    };
  }
}

/** Does what answers look like the server that is meant? */
async function judge(report, { name, url, missing, open }, response) {
  const check = `${name} is what answers`;
  const { status, type, ok } = response;
  const kind = response.headers.get("content-type") ?? "";
  const text = await response.text().catch(() => "");
  const fail = (detail, fix) => {
    report.fail(check, detail, fix);
    return false;
  };
  if (type === "opaqueredirect" || (status >= 300 && status < 400))
    return fail(`${url} answers with a redirect`, "Set the URL to where it leads.");
  if (status === 404) return fail(`there is nothing at ${url}`, missing);
  if (kind.startsWith("text/html")) return fail(`${url} is a web page`, missing);
  if (status === 405) return fail(`${url} accepts no POST`, missing);
  if (status >= 500) return fail(`${url} answers with ${status}: ${words(text)}`, "See its log, and its settings.");
  if (ok) return fail(`${url} accepts a token that is none`, open);
  report.pass(check);
  return true;
}

/** What a server says about itself: our token function adds what to do. */
function words(text) {
  try {
    const { error, message, hint } = JSON.parse(text);
    return [error?.message ?? message ?? error, error?.hint ?? hint].filter((part) => typeof part === "string").join(" ");
  } catch {
    return text.slice(0, 200).trim() || "it says nothing";
  }
}
