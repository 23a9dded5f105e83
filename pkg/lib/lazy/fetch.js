import { BehestError } from "../error.js";
import { explained } from "./cors.js";

/** What libraries send along that is meant for another server, or that a gateway's CORS rules need not allow. */
const NOT_PASSED_ON = /^(authorization|api-key|x-api-key|cookie|user-agent|openai-.*|x-stainless-.*)$/;

/** Failures that are no answer: whoever called `fetch` is thrown them. Others become an error response with their status. */
const NO_ANSWER = /^(network|timeout|internal|wasm_load_failed|user_changed)$/;

/**
 * `fetch` under the client's rules. A request below the gateway's URL gets a token, is repeated as the engine says, and its
 * answer is passed on as it comes; any other goes where it is addressed to, as it is.
 *
 * `start(kind, about, body, options, through)` begins a call.
 */
export default async function fetchThrough(start, config, _driver, _conversation, input, init) {
  const path = pathBelow(config.gatewayUrl, input?.url ?? input);
  if (path === undefined) return globalThis.fetch(input, init);
  const request = new Request(input, init);
  const signal = init?.signal ?? input?.signal ?? undefined;
  signal?.throwIfAborted();
  const headers = Object.fromEntries([...request.headers].filter(([name]) => !NOT_PASSED_ON.test(name)));
  const bytes = /^(GET|HEAD)$/.test(request.method) ? undefined : await bytesOf(request, signal);
  const thrown = (error) => (error.reason === "aborted" && signal?.aborted ? signal.reason : error);

  let last;
  const through = {
    async send(go, url, { headers: own, ...rest }) {
      last = undefined;
      const { accept, "content-type": kind, ...ours } = own;
      const response = await go(url, { ...rest, method: request.method, headers: { ...headers, ...ours } });
      // The engine reads the words of a refusal; should it be the last one, the caller does so too.
      last = response.ok ? response : response.clone();
      return response;
    },
    open(source, call) {
      const { resolve } = call;
      call.resolve = () => {};
      resolve(answer(last, last.body && passedOn(source, call, thrown)));
      // Nobody will read to the end of none: the call is over.
      if (!last.body) source.took({ done: true }, true);
    },
  };
  try {
    return await start("raw", path, bytes?.length ? bytes : undefined, { signal }, through);
  } catch (error) {
    if (!(error instanceof BehestError) || thrown(error) !== error) throw thrown(error);
    if (last && last.status === error.status && isPlausible(last)) return answer(last, last.body, { "x-should-retry": "false" });
    if (error.reason === "network") throw await explained(error);
    if (NO_ANSWER.test(error.reason)) throw error;
    return refusal(error);
  }
}

/** What follows the gateway's URL, or nothing where the request is not the gateway's. */
function pathBelow(gatewayUrl, target) {
  const gateway = new URL(gatewayUrl);
  const { origin, pathname, search } = new URL(target, globalThis.location?.href);
  const base = gateway.pathname.replace(/\/+$/, "");
  if (origin === gateway.origin && pathname.startsWith(`${base}/`)) return pathname.slice(base.length) + search;
}

/** All of the request's body. It may take as long as it likes, but not longer than it is wanted. */
async function bytesOf(request, signal) {
  let leave;
  const left = new Promise((_resolve, reject) => signal?.addEventListener("abort", (leave = () => reject(signal.reason))));
  try {
    return new Uint8Array(await Promise.race([request.arrayBuffer(), left]));
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}

/** Servers may say what no `Response` can be made of. */
const isPlausible = ({ status }) => status >= 200 && status <= 599;

function answer({ status, statusText, headers, url }, body, more = {}) {
  const all = new Headers(headers);
  for (const [name, value] of Object.entries(more)) all.set(name, value);
  const response = new Response(body, { status, statusText, headers: all });
  return Object.defineProperty(response, "url", { value: url });
}

/** An error of the client's own in the words that libraries read: `error.message`, with no reason to try again. */
function refusal({ reason, message, status, action }) {
  const body = { error: { message, type: "behest_client", code: reason, param: null } };
  const headers = { "content-type": "application/json", "x-should-retry": "false" };
  return new Response(JSON.stringify(body), { status: isPlausible({ status }) ? status : action === "sign_in" ? 401 : 400, headers });
}

/** The body, as it is read. The engine is told of it, so that it knows what is under way and what it cost. */
function passedOn(source, call, thrown) {
  const stream = new ReadableStream(
    {
      start(controller) {
        // The call is known to the driver, and must not keep alive what nobody reads.
        const reader = new WeakRef(controller);
        call.reject = (error) => reader.deref()?.error(thrown(error));
      },
      async pull(controller) {
        try {
          const result = await source.read();
          source.took(result, true);
          if (result.done) controller.close();
          else controller.enqueue(result.value);
        } catch (error) {
          source.broke(error);
          controller.error(error);
        }
      },
      cancel: () => source.abort(),
    },
    { highWaterMark: 0 },
  );
  unread.register(stream, source);
  return stream;
}

/** Bodies that nobody holds any more. */
const unread = new FinalizationRegistry((source) => source.abort());
