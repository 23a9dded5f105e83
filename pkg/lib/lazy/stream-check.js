import { LONGEST_TIMER } from "../drive.js";
import { BehestError } from "../error.js";

const QUESTION = {
  model: "default",
  stream: true,
  max_tokens: 64,
  messages: [{ role: "user", content: "Count from one to twenty." }],
};

const ACCEPTED = "the gateway accepts the token";
const STREAMS = "answers stream in";

const BUFFERED =
  "Something between gateway and page collects the answer (a proxy, a service worker, compression): let text/event-stream pass unbuffered (nginx: proxy_buffering off).";

const CUT_SHORT = "See what limits the length or the time of an answer: gateway, proxy, firewall.";

/** So many events may well arrive together. */
const SOON_TOGETHER = 8;

const REFUSED = {
  401: "Token function and gateway must belong to the same Behest project: compare BEHEST_BASE_URL, BEHEST_KEY and BEHEST_KID of the function with behestUrl.",
  402: "The plan's allowance is spent: raise the tier's limits in the Behest dashboard, or wait.",
  403: "See in the Behest dashboard whether the project is paused, and whether its origins and tiers allow this user.",
  422: "Choose a model in the Behest dashboard (Project, Settings), and store its provider's key.",
  429: "Too many requests for the user's tier: wait, or raise its limits in the Behest dashboard.",
};

/** A short streamed answer, looked at on the wire. Gives the token that the gateway was sent. */
export async function checkStream(report, start, { idleMs, contentMs }) {
  let token;
  let response;
  const through = {
    async send(go, url, init) {
      token = init.headers.authorization.replace(/^Bearer /, "");
      return (response = await go(url, {
        ...init,
        method: "POST",
        headers: { ...init.headers, accept: "text/event-stream" },
      }));
    },
    open(source, call) {
      const { resolve } = call;
      call.resolve = () => {};
      resolve(source);
    },
  };
  let source;
  try {
    source = await start("raw", "/v1/chat/completions", JSON.stringify(QUESTION), undefined, through);
  } catch (error) {
    const { message, hint, status } = error instanceof BehestError ? error : { message: String(error) };
    report.fail(ACCEPTED, message, REFUSED[status] ?? hint ?? "See the message.");
    report.skip(STREAMS, "there is no answer");
    return token;
  }
  report.pass(ACCEPTED);
  const kind = response.headers.get("content-type") ?? "";
  if (!kind.startsWith("text/event-stream")) {
    source.abort();
    report.fail(
      STREAMS,
      `the answer is ${kind || "of no kind"}, not text/event-stream`,
      "Check that behestUrl is the gateway, and that its model can stream.",
    );
    return token;
  }
  await read(report, source, idleMs, contentMs);
  return token;
}

async function read(report, source, idleMs, contentMs) {
  const decoder = new TextDecoder();
  // What does nothing but ping does so no longer than in any other stream.
  const end = performance.now() + contentMs;
  let [pieces, text] = [0, ""];
  try {
    for (;;) {
      const left = end - performance.now();
      const result = await within(Math.min(idleMs, left), source.read());
      if (!result) {
        source.abort();
        const how = left < idleMs ? `had no end within ${contentMs} ms` : `fell silent for ${idleMs} ms`;
        report.fail(STREAMS, `the answer ${how}, after ${text.length} characters`, CUT_SHORT);
        return;
      }
      source.took(result, true);
      if (result.done) break;
      pieces += 1;
      text += decoder.decode(result.value, { stream: true });
    }
  } catch (thrown) {
    source.broke(thrown);
    report.fail(STREAMS, `the answer broke off after ${text.length} characters`, CUT_SHORT);
    return;
  }
  const events = text.match(/^data:/gm)?.length ?? 0;
  if (events === 0) report.fail(STREAMS, "the stream has no events", "See the gateway's log: its model gave nothing.");
  else if (/^data:\s*\{"error"/m.test(text))
    report.fail(STREAMS, "the stream reports an error", "See the gateway's log, and the model's provider key.");
  else if (!/^data:\s*\[DONE\]|"finish_reason":\s*"/m.test(text))
    report.fail(STREAMS, "the stream has no end", "See what limits the time of an answer: gateway, proxy, firewall.");
  else if (pieces === 1 && events > SOON_TOGETHER) report.fail(STREAMS, `${events} events came all at once`, BUFFERED);
  else report.pass(STREAMS, `${events} events in ${pieces} pieces`);
}

/** What `promise` gives, or nothing if that takes longer. */
async function within(ms, promise) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, Math.min(ms, LONGEST_TIMER))));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
