/**
 * The fault matrix as data: what a server does, and what a caller must be told. `server.mjs` plays the first,
 * `judge.mjs` holds a run to the second. An answer is a list of steps, each `[what, …]`; see `server.mjs` for the words.
 */

/** Where a fault strikes. `session` is the app's own request for the access token, `plan` and `mint` lie behind our endpoint. */
export const HOPS = ["session", "function", "plan", "mint", "gateway"];
export const KINDS = ["ask", "stream"];

/** What the gateway says when all is well, as text; streamed in these pieces. */
export const PIECES = ["Grüße", ", 世界", " 🌍", "."];
export const ANSWER = PIECES.join("");
/** What has been said when an answer breaks in its middle. */
export const HALF = PIECES.slice(0, 2).join("");

const good = [["head", 200], ["body"], ["fin"]];
const after = (...steps) => [["head", 200, {}, "chunked"], ["chunk", "half"], ["seen"], ...steps];

/**
 * What happens on the wire. `effect` names what a caller can know of it (`judge.mjs`); `quick`: the client's limits are
 * short, since they are what ends it; `but`: other effects, by hop, by kind of call, or by client.
 */
const TRANSPORT = [
  { name: "all is well", effect: "fine", answer: good },
  { name: "refused", effect: "refused", answer: "refused" },
  { name: "no such host", effect: "refused", answer: "no such host" },
  { name: "reset before the head", effect: "unanswered", answer: [["reset"]] },
  { name: "closed before the head", effect: "unanswered", answer: [["fin"]] },
  { name: "closed within the head", effect: "unanswered", answer: [["raw", "HTTP/1.1 200 OK\r\nContent-Ty"], ["fin"]] },
  { name: "reset within the head", effect: "unanswered", answer: [["raw", "HTTP/1.1 200 OK\r\nContent-Ty"], ["reset"]] },
  { name: "half-open: silence", effect: "silent", quick: true, answer: [["hold"]] },
  { name: "silence within the head", effect: "silent", quick: true, answer: [["raw", "HTTP/1.1 200 OK\r\n"], ["hold"]] },
  { name: "a head that drips for ever", effect: "silent", quick: true, answer: [["raw", "HTTP/1.1 200 OK\r\n"], ["drip", "X-A: b\r\n", 40]] },
  { name: "a head that comes slowly", effect: "fine", answer: [["slowly", 20], ...good] },
  { name: "a body that drips", effect: "fine", answer: [["head", 200], ["body", "good", 7], ["fin"]] },
  { name: "byte by byte, chunked", effect: "fine", answer: [["head", 200, {}, "chunked"], ["chunk", "good", 1], ["end"], ["fin"]] },
  { name: "one byte more than the stated length", effect: "fine", answer: [["head", 200, {}, "length"], ["body"], ["raw", "x"], ["fin"]] },
  { name: "reset within the body", effect: "broken", answer: after(["reset"]) },
  { name: "closed within a chunk", effect: "broken", answer: after(["raw", "ff\r\nda"], ["fin"]) },
  { name: "closed before the last chunk", effect: "broken", answer: after(["fin"]) },
  { name: "a chunk size that is none", effect: "broken", answer: after(["raw", "zz\r\n"], ["fin"]) },
  { name: "less than the stated length", effect: "broken", answer: [["head", 200, {}, "longer"], ["body", "half"], ["seen"], ["fin"]] },
  { name: "closed within the body, without a length", effect: "ends early", answer: [["head", 200], ["body", "half"], ["seen"], ["fin"]] },
  { name: "silence within the body", effect: "stalls", quick: true, answer: after(["hold"]) },
  { name: "silence before the body", effect: "stalls at once", quick: true, answer: [["head", 200, {}, "chunked"], ["hold"]], but: { firefox: "silent" } },
  { name: "no body", effect: "empty", answer: [["head", 200, { "content-length": "0" }], ["fin"]] },
  { name: "gzip", effect: "fine", answer: [["head", 200, { "content-encoding": "gzip" }, "length", "gzip"], ["body", "gzip"], ["fin"]], but: { native: "garbled" } },
  { name: "gzip that is none", effect: "undecodable", quick: true, answer: [["head", 200, { "content-encoding": "gzip" }], ["body"], ["fin"]], but: { native: "fine", node: "any failure" } },
  { name: "gzip cut off", effect: "garbled", answer: [["head", 200, { "content-encoding": "gzip" }], ["body", "half gzip"], ["fin"]] },
  { name: "another content type", effect: "fine", answer: [["head", 200, { "content-type": "application/octet-stream" }], ["body"], ["fin"]] },
  { name: "no content type", effect: "fine", answer: [["head", 200, { "content-type": undefined }], ["body"], ["fin"]] },
  { name: "the content type of a page", effect: "mislabelled", answer: [["head", 200, { "content-type": "text/html" }], ["body"], ["fin"]] },
  { name: "a page in its place", effect: "nonsense", answer: [["head", 200, { "content-type": "text/html" }], ["body", { text: "<!doctype html><title>Hello</title>" }], ["fin"]] },
  { name: "an empty object", effect: "no fields", answer: [["head", 200, { "content-type": "application/json" }], ["body", { text: "{}" }], ["fin"]] },
  { name: "null", effect: "nonsense", answer: [["head", 200, { "content-type": "application/json" }], ["body", { text: "null" }], ["fin"]] },
  { name: "a number too large", effect: "nonsense", answer: [["head", 200, { "content-type": "application/json" }], ["body", { text: "1e999999" }], ["fin"]] },
  { name: "JSON cut off", effect: "nonsense", answer: [["head", 200, { "content-type": "application/json" }], ["body", { text: '{"token":"t","choices":[{"mess' }], ["fin"]] },
  { name: "JSON, 50 000 levels deep", effect: "nonsense", answer: [["head", 200, { "content-type": "application/json" }], ["body", { text: "[", times: 50_000 }], ["fin"]] },
  { name: "prototype pollution", effect: "no fields", answer: [["head", 200, { "content-type": "application/json" }], ["body", { text: '{"__proto__":{"token":"t","ttl":900,"polluted":1,"choices":[]},"constructor":{"prototype":{"polluted":1}}}' }], ["fin"]] },
  { name: "bytes that are no text", effect: "nonsense", answer: [["head", 200, { "content-type": "application/json" }], ["body", { latin1: "\xff\xfe\x00{\xc3\x28" }], ["fin"]] },
  { name: "UTF-16", effect: "nonsense", answer: [["head", 200, { "content-type": "application/json" }], ["body", "utf16"], ["fin"]] },
  { name: "a byte order mark before it", effect: "fine", answer: [["head", 200], ["body", "bom"], ["fin"]] },
  { name: "no HTTP at all", effect: "unanswered", answer: [["raw", "SSH-2.0-OpenSSH_9.2\r\n"], ["fin"]], but: { chromium: "foreign", firefox: "foreign" } },
  { name: "a second head in the head", effect: "fine", answer: [["raw", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"], ...good] },
  { name: "100 Continue, five times", effect: "fine", answer: [...Array(5).fill(["raw", "HTTP/1.1 100 Continue\r\n\r\n"]), ...good], but: { node: "unanswered" } },
  { name: "101 Switching Protocols", effect: "unanswered", answer: [["raw", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], ["fin"]], but: { native: "no success", firefox: "foreign" } },
  { name: "100 Continue and nothing more", effect: "silent", quick: true, answer: [["raw", "HTTP/1.1 100 Continue\r\n\r\n"], ["hold"]], but: { node: "unanswered" } },
  { name: "HTTP/1.0", effect: "fine", answer: [["head 1.0", 200], ["body"], ["fin"]] },
  { name: "two lengths that differ", effect: "unanswered", answer: [["head", 200, { "content-length": "3\r\ncontent-length: 7" }], ["body"], ["fin"]], but: { firefox: "any" } },
  { name: "a head of 2 MB", effect: "unanswered", answer: [["head", 200, { "x-filler": "y".repeat(2_000_000) }], ["body"], ["fin"]], but: { firefox: "any" } },
];

/** Faults of what the gateway says within a stream; they mean nothing elsewhere. `kept` is the text that must be kept. */
const event = (content, finish_reason = null) =>
  `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`;
const said = (text, steps = [["fin"]]) => [["head", 200], ["body", { text }], ...steps];
const STREAMED = [
  { name: "ends with [DONE] only", effect: "fine", answer: said(event(ANSWER) + "data: [DONE]\n\n") },
  { name: "ends with a reason only", effect: "fine", answer: said(event(ANSWER) + event("", "stop")) },
  { name: "reset after the reason", effect: "fine", answer: [["head", 200], ["body", { text: event(ANSWER) + event("", "stop") }], ["seen"], ["reset"]] },
  { name: "silence after the reason", effect: "fine", quick: true, answer: [["head", 200], ["body", { text: event(ANSWER) + event("", "stop") }], ["hold"]] },
  { name: "silence after [DONE]", effect: "fine", answer: [["head", 200], ["body", { text: event(ANSWER) + "data: [DONE]\n\n" }], ["hold"]] },
  { name: "the length limit", effect: "length", answer: said(event(ANSWER) + event("", "length")) },
  { name: "a filter", effect: "content_filter", answer: said(event(ANSWER) + event("", "content_filter")) },
  { name: "an error event", effect: "reported", answer: said(event(HALF) + 'data: {"error":{"message":"overloaded"}}\n\n') },
  { name: "an event named error", effect: "reported", answer: said(event(HALF) + 'event: error\ndata: {"message":"overloaded"}\n\n') },
  { name: "the reason `error`", effect: "reported", answer: said(event(HALF) + event("", "error")) },
  { name: "a chunk that is no JSON", effect: "no JSON", answer: said(`${event(HALF)}data: oops\n\n`) },
  { name: "an event larger than the limit", effect: "too large", answer: said(`${event(HALF)}data: ${"x".repeat(1 << 21)}\n\n`) },
  { name: "an event cut off", effect: "ends early", answer: said(`${event(HALF)}data: {"choices":[{"de`) },
  { name: "keep-alives only, then the answer", effect: "fine", answer: said(": ping\n\n".repeat(50) + event(ANSWER) + "data: [DONE]\n\n") },
  { name: "keep-alives for ever", effect: "stalls", quick: true, answer: [["head", 200], ["body", { text: event(HALF) }], ["drip", ": ping\n\n", 40]] },
].map((fault) => ({ ...fault, only: { hop: "gateway", kind: "stream" } }));

/** Bodies of refusals. `code` is what they say it is; servers of all kinds send all of them. */
export const SHAPES = [
  { name: "nothing", text: "" },
  { name: "OpenAI's", text: '{"error":{"message":"no","type":"a_type","param":null,"code":"a_code"}}' },
  { name: "Behest's", text: '{"error":{"code":"a_code","message":"no","trace_id":"t-1"}}' },
  { name: "Behest's, flat", text: '{"error":"no","code":"a_code"}' },
  { name: "Supabase's", text: '{"code":400,"error_code":"a_code","msg":"no"}' },
  { name: "FastAPI's", text: '{"detail":[{"loc":["body"],"msg":"no","type":"missing"}]}' },
  { name: "text", text: "no", kind: "text/plain" },
  { name: "a page", text: "<html><h1>no</h1></html>", kind: "text/html" },
  { name: "JSON cut off", text: '{"error":{"mess' },
  { name: "spent", text: '{"error":{"code":"quota_exceeded","message":"no"}}', code: "quota_exceeded" },
  { name: "personal data", text: '{"error":{"code":"pii_detected","message":"no"}}', code: "pii_detected" },
  { name: "hostile", text: '{"__proto__":{"code":"x"},"code":{"toString":1},"message":["no"],"error":{"code":[[[]]],"message":{}}}' },
];

export const STATUSES = [
  204, 205, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 425, 429,
  431, 451, 499, 500, 501, 502, 503, 504, 507, 520, 529, 599,
];

/** Those whose answers have no body, by HTTP's own rules. */
const BODILESS = new Set([204, 205, 304]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

const refusals = STATUSES.flatMap((status) =>
  (BODILESS.has(status) ? SHAPES.slice(0, 1) : SHAPES).map(({ name, text, kind = "application/json", code }) => {
    const headers = { "content-type": kind, ...(REDIRECTS.has(status) && { location: "/c/elsewhere" }) };
    const steps = BODILESS.has(status) ? [["bare head", status]] : [["head", status, headers, "length", { text }], ["body", { text }]];
    return { name: `${status}, ${name}`, effect: "status", status, code, shape: name, answer: [...steps, ["fin"]] };
  }),
);

/** Refusals whose own words break off; the status counts. */
const broken = [401, 403, 429, 503].flatMap((status) => [
  { name: `${status}, its words reset`, effect: "status", status, answer: [["head", status, {}, "chunked"], ["chunk", { text: '{"error' }], ["reset"]] },
  { name: `${status}, its words stall`, effect: "status", status, quick: true, answer: [["head", status, {}, "chunked"], ["chunk", { text: '{"error' }], ["hold"]] },
]);

export const FAULTS = [...TRANSPORT, ...STREAMED, ...refusals, ...broken];

/** The statuses of the short form, which asks for each rule once. */
const SHORT = new Set([204, 302, 400, 401, 402, 403, 404, 408, 409, 429, 451, 500, 503]);
const SHORT_SHAPES = new Set(["nothing", "OpenAI's", "spent"]);

/** Every fault at every hop where it means something, for each kind of call. */
export function cells({ short = false } = {}) {
  const wanted = FAULTS.filter(({ shape, status }) => !short || !shape || (SHORT.has(status) && SHORT_SHAPES.has(shape)));
  return wanted.flatMap((fault) =>
    HOPS.filter((hop) => fault.only === undefined || fault.only.hop === hop)
      // Our endpoint does not tell apart what the servers behind it say: a shape or two are enough there.
      .filter((hop) => fault.shape === undefined || hop === "gateway" || hop === "function" || SHORT_SHAPES.has(fault.shape))
      .flatMap((hop) => KINDS.filter((kind) => (fault.only?.kind ?? kind) === kind).map((kind) => ({ fault, hop, kind }))),
  );
}
