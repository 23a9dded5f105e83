/** Carries out cells of the matrix, in Node and in pages alike: asks through the package, and tells all that a caller can see. */

/** A cell that is not settled by then hangs. */
const HANG_MS = 60_000;

export function carryOut(createClient, { kind, sessionUrl, session, seenUrl, ...options }) {
  const getAccessToken = sessionUrl ? () => readSession(sessionUrl) : () => session;
  return call(createClient({ getAccessToken, ...options }), kind, () => fetch(seenUrl, { method: "POST" }).catch(() => {}));
}

/** One call, as its caller sees it. `seen` is told of the first text; `signal` may abort it. */
export async function call(behest, kind, seen, signal) {
  let timer;
  const hangs = new Promise((resolve) => (timer = setTimeout(resolve, HANG_MS, { hangs: true })));
  const settled = await Promise.race([hangs, (kind === "ask" ? ask : stream)(behest, seen, { signal }).catch(shown)]);
  clearTimeout(timer);
  return { ...settled, polluted: {}.polluted !== undefined };
}

/** As an app of one's own would. */
async function readSession(url) {
  const response = await fetch(url, { redirect: "error" });
  if (!response.ok) throw new Error(`the session server answered ${response.status}`);
  const { access_token } = await response.json();
  if (typeof access_token !== "string") throw new Error("the session server sent no access token");
  return access_token;
}

const ask = async (behest, _seen, options) => ({ text: await behest.ask("Hi!", options) });

async function stream(behest, seen, options) {
  const stream = await behest.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], stream: true }, options);
  let text = "";
  let told;
  let failure = {};
  try {
    for await (const piece of stream.text()) {
      told ??= seen(text + piece);
      text += piece;
    }
  } catch (error) {
    failure = shown(error);
  }
  await told;
  return { ...failure, text, outcome: stream.outcome, kept: stream.content };
}

/** An error as far as it can leave a page: what is not enumerable, and what hangs below, included. */
function shown(error) {
  const { name, message, reason, action, status, stack, cause } = error;
  const heap = [stack, String(error), JSON.stringify(error), ...everything(error)].join("\n");
  return { name, message, reason, action, status, cause: String(cause), heap };
}

function everything(value, seen = new Set()) {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return [String(value)];
  if (seen.has(value)) return [];
  seen.add(value);
  return Reflect.ownKeys(value).flatMap((key) => {
    try {
      return everything(value[key], seen);
    } catch {
      return [];
    }
  });
}

/** All of them, so many at once; `done` is told of each as it settles. */
export async function carryOutAll(createClient, cells, { together, done }) {
  const left = [...cells];
  const worker = async () => {
    for (let cell = left.shift(); cell; cell = left.shift()) await done(cell.id, await carryOut(createClient, cell.options));
  };
  await Promise.all(Array.from({ length: together }, worker));
}
