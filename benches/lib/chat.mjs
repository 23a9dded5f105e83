/** The scripted conversation that every client reads: OpenAI's chunk shape, about 230 bytes an event. */

export const EVENTS = 20_000;
export const MESSAGES = [{ role: "user", content: "Tell me a story." }];
export const MODEL = "default";

// What answers are made of: mostly plain words, at times a letter beyond ASCII, a line break or a quotation mark.
const PIECES = " the| story| of| a| fox|,| who| said|:| \"|yes|\"| and| then| went| home|.|\n\n| It| was| late| in| août| —| so".split("|");

const COMMON = {
  id: "chatcmpl-CfV2xqJ8sT4mYbN0aLr6WkZpHd3Ue",
  object: "chat.completion.chunk",
  created: 1_763_990_400,
  model: "gpt-4o-mini-2024-07-18",
  system_fingerprint: "fp_0aa8d3e20b",
};

const eventOf = (delta, finish_reason = null) =>
  `data: ${JSON.stringify({ ...COMMON, choices: [{ index: 0, delta, finish_reason }] })}\n\n`;

/** A stream of `count` events and `[DONE]`, and the text it says. */
export function streamOf(count) {
  const pieces = Array.from({ length: count - 2 }, (_, index) => PIECES[index % PIECES.length]);
  const events = [
    eventOf({ role: "assistant", content: "" }),
    ...pieces.map((content) => eventOf({ content })),
    eventOf({}, "stop"),
    "data: [DONE]\n\n",
  ];
  return { events, text: pieces.join("") };
}

/** The same bytes, cut as a network would: by so many bytes, or `null` for one event in each. */
export function cut(events, size) {
  const encoder = new TextEncoder();
  if (size === null) return events.map((event) => encoder.encode(event));
  const bytes = encoder.encode(events.join(""));
  const chunks = [];
  for (let start = 0; start < bytes.length; start += size) chunks.push(bytes.slice(start, start + size));
  return chunks;
}

/** An answer that is no stream. */
export const completion = (content) => ({
  ...COMMON,
  object: "chat.completion",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content, refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: "stop",
    },
  ],
  usage: { prompt_tokens: 13, completion_tokens: 58, total_tokens: 71 },
});
