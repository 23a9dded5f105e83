/** The work that is measured, the same code in Node and in a page. Each piece says what it got, so that it can be checked. */
import { chatWith } from "../peers/snippet.mjs";
import { cut, MESSAGES, MODEL, streamOf } from "./chat.mjs";
import { accessToken, BEHEST_URL, CHAT_URL, jsonAnswer, memoryServer, streamedAnswer, SUPABASE_URL } from "./memory-server.mjs";

/** Pieces of text in an answer that is asked for alone, and in each of many. */
const LONG = 60;
const SHORT = 10;

const request = { model: MODEL, messages: MESSAGES };

/** Who is signed in is at hand, as in an application: nobody's time is spent on making sessions. */
function clientOptions(fetch) {
  const session = accessToken();
  return { supabaseUrl: SUPABASE_URL, behestUrl: BEHEST_URL, getAccessToken: () => session, fetch };
}

const openaiOptions = (fetch) => ({ apiKey: "token-1", baseURL: `${BEHEST_URL}/v1`, dangerouslyAllowBrowser: true, fetch });

const post = (fetch, body) =>
  fetch(CHAT_URL, {
    method: "POST",
    headers: { authorization: "Bearer token-1", "content-type": "application/json" },
    body: JSON.stringify(body),
  });

/** Readers of one stream of `count` events in network chunks of `size`. */
export function streamSubjects({ createClient, OpenAI, createParser }, count, size) {
  const { events, text: expected } = streamOf(count);
  const chunks = cut(events, size);
  const { fetch } = memoryServer(() => streamedAnswer(chunks));
  const behest = createClient(clientOptions(fetch));
  const openai = new OpenAI(openaiOptions(fetch));
  const streamed = { ...request, stream: true };
  const subjects = {
    async "behest text"() {
      const stream = await behest.chat.completions.create(streamed);
      let text = "";
      for await (const piece of stream.text()) text += piece;
      return text;
    },
    async "behest chunks"() {
      const stream = await behest.chat.completions.create(streamed);
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
      return text;
    },
    async openai() {
      const stream = await openai.chat.completions.create(streamed);
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
      return text;
    },
    async "eventsource-parser"() {
      let text = "";
      const parser = createParser({
        onEvent({ data }) {
          if (data !== "[DONE]") text += JSON.parse(data).choices[0]?.delta?.content ?? "";
        },
      });
      const reader = (await post(fetch, streamed)).body.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return text;
        parser.feed(decoder.decode(value, { stream: true }));
      }
    },
    async "bare read"() {
      const reader = (await post(fetch, streamed)).body.getReader();
      let bytes = 0;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return bytes === chunks.reduce((sum, chunk) => sum + chunk.length, 0) ? expected : "other bytes";
        bytes += value.length;
      }
    },
  };
  return checked(subjects, expected);
}

/**
 * `count` questions one after the other, their token at hand. supabase-js tells of changes by itself; a callback is asked
 * each time.
 */
export async function askSubjects({ createClient, createSupabase, OpenAI }, count) {
  const { text } = streamOf(LONG);
  // As the host's own, which each calls in its own way: with a URL, not with a request that is made once more.
  const { fetch } = memoryServer(jsonAnswer(text));
  globalThis.fetch = fetch;
  const supabase = createSupabase(SUPABASE_URL, "sb_publishable_bench", {
    auth: { autoRefreshToken: false, persistSession: false },
  });
  await supabase.auth.signInWithPassword({ email: "ada@example.com", password: "correct horse" });
  const withSupabase = createClient({ supabase, behestUrl: BEHEST_URL });
  const withCallback = createClient(clientOptions());
  const openai = new OpenAI(openaiOptions());
  const question = MESSAGES[0].content;
  const repeated = async (ask) => {
    let length = 0;
    for (let index = 0; index < count; index += 1) length += (await ask()).length;
    return length;
  };
  const content = (completion) => completion.choices[0].message.content;
  const subjects = {
    "supabase-js": () => repeated(() => withSupabase.ask(question)),
    callback: () => repeated(() => withCallback.ask(question)),
    openai: () => repeated(async () => content(await openai.chat.completions.create(request))),
    "bare fetch": () => repeated(async () => content(await (await post(fetch, request)).json())),
  };
  return checked(subjects, count * text.length);
}

/**
 * `count` questions at once, with no token at hand; the session is supabase-js's in all. `ready(name)` makes a client anew,
 * with a user signed in; `ask()` asks it.
 */
export function burstSubjects({ createClient, createSupabase }, count) {
  const { events, text: expected } = streamOf(SHORT);
  const chunks = cut(events, 4096);
  const streamed = () => streamedAnswer(chunks);
  const server = memoryServer(streamed);
  const addresses = { supabaseUrl: SUPABASE_URL, publishableKey: "sb_publishable_bench", behestUrl: BEHEST_URL };
  const collected = async (pieces) => {
    let text = "";
    for await (const piece of pieces) text += piece;
    return text;
  };
  const withBehest = (answer, ask) => {
    const supabase = createSupabase(addresses.supabaseUrl, addresses.publishableKey);
    const behest = createClient({ supabase, behestUrl: addresses.behestUrl });
    return { supabase, answer, ask: () => ask(behest), close: () => behest.close() };
  };
  const makers = {
    behest: () => withBehest(jsonAnswer(expected), (behest) => behest.ask(MESSAGES[0].content)),
    "behest streamed": () =>
      withBehest(streamed, async (behest) =>
        collected((await behest.chat.completions.create({ ...request, stream: true })).text()),
      ),
    snippet() {
      const { supabase, ask } = chatWith(addresses);
      return { supabase, answer: streamed, ask: () => collected(ask(MESSAGES)), close: () => {} };
    },
  };
  let current;
  return {
    fetch: server.fetch,
    async ready(name) {
      current?.close();
      await current?.supabase.auth.stopAutoRefresh();
      current = makers[name]();
      server.answer = current.answer;
      await current.supabase.auth.signInWithPassword({ email: "ada@example.com", password: "correct horse" });
      server.mints = 0;
    },
    async ask() {
      const answers = await Promise.all(Array.from({ length: count }, () => current.ask()));
      if (answers.some((answer) => answer !== expected)) throw new Error("an answer is not what was sent");
    },
    mints: () => server.mints,
  };
}

function checked(subjects, expected) {
  const guarded = ([name, work]) => [
    name,
    async () => {
      const got = await work();
      if (got !== expected) throw new Error(`${name} read something else than was sent: ${String(got).slice(0, 80)}`);
    },
  ];
  return Object.fromEntries(Object.entries(subjects).map(guarded));
}
