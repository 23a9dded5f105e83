/**
 * A fault lab without network: a scripted gateway, token function and session for the tests of your application. Give
 * `world.fetch` and `world.getAccessToken` to `createClient`. For time, use your test runner's fake timers: the client
 * reads no clock but `Date.now`, `performance.now` and `setTimeout`.
 */
export class World {
  /** Every request so far: `{ method, url, headers, body, answered, cancelled }`. */
  requests = [];
  sessionReads = 0;
  #serve = defaultReply;
  #token = accessToken("user-1");

  /** What the servers answer from now on: `(request, world) => reply`. */
  serve(script) {
    this.#serve = script;
  }

  signedIn(user) {
    this.#token = accessToken(user);
    return this.#token;
  }

  signedOut() {
    this.#token = null;
  }

  get mints() {
    return this.requests.filter(isMint).length;
  }

  get chats() {
    return this.requests.length - this.mints;
  }

  getAccessToken = async () => {
    this.sessionReads += 1;
    return this.#token;
  };

  fetch = async (request) => {
    const { method, url, signal } = request;
    const headers = Object.fromEntries(request.headers);
    const seen = { method, url, headers, body: await request.text(), answered: false, cancelled: false };
    // A request whose answer has come whole is never aborted by the client.
    signal.addEventListener("abort", () => (seen.cancelled = true));
    this.requests.push(seen);
    return respond(await this.#serve(seen, this), signal, () => (seen.answered = true));
  };
}

export const isMint = ({ url }) => url.includes("/functions/v1/");

/** A JSON body; give a string to send exactly that. */
export const json = (status, body, headers = {}) => ({
  status,
  headers: { "content-type": "application/json", ...headers },
  pieces: [typeof body === "string" ? body : JSON.stringify(body)],
});

/** Server-sent events in exactly these pieces: strings, bytes, `wait(ms)`, `STALL` or `CUT`. */
export const stream = (pieces, headers = {}) => ({
  status: 200,
  headers: { "content-type": "text/event-stream", ...headers },
  pieces,
});

/** No answer: the connection fails. */
export const refused = (message = "Failed to fetch") => ({ failure: message });

/** No answer ever. */
export const hang = () => ({ hangs: true });

/** Nothing ever again, but the connection stays. */
export const STALL = Symbol("stall");

/** The connection breaks. */
export const CUT = Symbol("cut");

/** Nothing for this time. */
export const wait = (ms) => ({ ms });

/** The documented reply of a token function. */
export const bundle = (token = "token-1", ttl = 900) =>
  json(200, { token, ttl, sessionId: "session-1", expiresAt: Math.floor(Date.now() / 1000) + ttl });

/** One event of a stream. */
export const event = (data) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

/** An event that adds text to the answer. */
export const delta = (content) => event({ id: "c1", choices: [{ index: 0, delta: { content }, finish_reason: null }] });

/** The event that ends the answer. */
export const finish = (reason = "stop") => event({ id: "c1", choices: [{ index: 0, delta: {}, finish_reason: reason }] });

/** A Supabase access token whose signature verifies nowhere. */
export function accessToken(user, claims = {}) {
  const bytes = (value) => String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value)));
  const part = (value) => btoa(bytes(value)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  return `${part({ alg: "ES256" })}.${part({ sub: user, session_id: `login-${user}`, role: "authenticated", ...claims })}.c2ln`;
}

/** Tokens of 900 s, and the answer "Hello", in one piece or streamed. */
export function defaultReply(request, world) {
  if (isMint(request)) return bundle(`token-${world.mints}`);
  if (request.body.includes('"stream":true')) return stream([delta("Hel"), delta("lo"), finish(), event("[DONE]")]);
  const message = { role: "assistant", content: "Hello" };
  return json(200, { id: "c1", object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }] });
}

async function respond({ status, headers, pieces, failure, hangs }, signal, answered) {
  if (failure) throw new TypeError(failure);
  if (hangs) await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  if (status === 204) {
    answered();
    return new Response(null, { status, headers });
  }
  const left = [...pieces];
  // One piece for each pull: nothing is made before it is asked for.
  const body = new ReadableStream(
    {
      async pull(out) {
        for (;;) {
          const piece = left.shift();
          if (piece === undefined) {
            answered();
            return out.close();
          }
          if (piece === STALL) return new Promise(() => {});
          if (piece === CUT) return out.error(new TypeError("network error"));
          if (piece.ms === undefined) return out.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
          await new Promise((resolve) => setTimeout(resolve, piece.ms));
        }
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, headers });
}
