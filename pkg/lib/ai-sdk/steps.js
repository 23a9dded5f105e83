import { failure } from "../error.js";
import { answerable, answers, definitions } from "../chat/tools.js";
import { textOf } from "../stream.js";

const MOST_ROUNDS = 8;

const FINISH = {
  stop: "stop",
  length: "length",
  content_filter: "content-filter",
  tool_calls: "tool-calls",
  function_call: "tool-calls",
};

/** One answer in the AI SDK's chunks: as many steps as the tools that run here make of it. */
export async function* stepsOf(calls, request, { tools, maxRounds = MOST_ROUNDS }, signal) {
  const defined = definitions(tools);
  let { messages } = request;
  const taken = new Set();
  for (let round = 1; ; round++) {
    const body = { ...request, messages, ...(defined.length > 0 && { tools: defined }), stream: true };
    const stream = await calls.chat.completions.create(body, { signal }).catch((error) => {
      // The AI SDK knows what its own signal says.
      throw error.reason === "aborted" && signal?.aborted ? signal.reason : error;
    });
    try {
      if (round === 1) yield { type: "start" };
      yield { type: "start-step" };
      yield* parts(stream, tools, taken);
      if (stream.outcome === "aborted") return yield { type: "abort" };
      yield { type: "finish-step" };
    } finally {
      stream.abort();
    }
    const { toolCalls, content, finishReason, outcome, usage, sessionId, traceId } = stream;
    const ours = answerable(toolCalls, tools);
    // The others are the page's to answer.
    const isOver = toolCalls.length === 0 || ours.length < toolCalls.length;
    if (!isOver && round >= maxRounds)
      throw failure("budget_exhausted", `the model called tools ${round} times without an answer (maxRounds)`);
    const results = await answers(ours, tools, signal);
    for (const { tool_call_id: toolCallId, content } of results)
      yield { type: "tool-output-available", toolCallId, output: value(content) };
    if (isOver) {
      const messageMetadata = { usage: usage ?? undefined, outcome, sessionId, traceId };
      return yield { type: "finish", finishReason: FINISH[finishReason] ?? "other", messageMetadata };
    }
    messages = [...messages, { role: "assistant", content: content || null, tool_calls: toolCalls }, ...results];
  }
}

/** What a stream brings: text, reasoning, and the tools that are called. `taken`: the ids of those before. */
async function* parts(stream, tools, taken) {
  let open;
  let count = 0;
  const known = (name) => tools !== undefined && Object.hasOwn(tools, name);
  const close = () => (open ? [{ type: `${open.type}-end`, id: open.id }] : []);
  function* more(type, delta) {
    if (typeof delta !== "string" || !delta) return;
    if (open?.type !== type) {
      yield* close();
      open = { type, id: `${type}-${++count}-${random()}` };
      yield { type: `${type}-start`, id: open.id };
    }
    yield { type: `${type}-delta`, id: open.id, delta };
  }
  const started = new Set();
  /** Whose pieces come under an index: some servers count from one, say zero for every call, or name each piece anew. */
  const ids = new Map();
  try {
    for await (const chunk of stream) {
      const delta = objects(chunk.choices).find(({ index }) => !index)?.delta ?? {};
      yield* more("reasoning", delta.reasoning_content ?? delta.reasoning);
      yield* more("text", textOf(delta));
      for (const { index = 0, id, function: piece } of objects(delta.tool_calls)) {
        if (id && (piece?.name || !ids.has(index))) ids.set(index, id);
        const toolCallId = ids.get(index);
        const toolName = stream.toolCalls.find((call) => call.id === toolCallId)?.function.name;
        if (!toolName || taken.has(toolCallId)) continue;
        if (!started.has(toolCallId)) {
          started.add(toolCallId);
          yield { type: "tool-input-start", toolCallId, toolName, dynamic: !known(toolName) };
        }
        if (piece?.arguments) yield { type: "tool-input-delta", toolCallId, inputTextDelta: piece.arguments };
      }
    }
  } catch (error) {
    // No part stays open.
    yield* close();
    throw error;
  }
  yield* close();
  if (stream.outcome === "aborted") return;
  // Some servers name none of them, or all alike; here they are told apart by their ids.
  for (const call of stream.toolCalls) {
    if (!call.id || taken.has(call.id)) call.id = `call-${random()}`;
    taken.add(call.id);
  }
  for (const {
    id: toolCallId,
    function: { name: toolName, arguments: text },
  } of stream.toolCalls) {
    const call = { toolCallId, toolName, dynamic: !known(toolName) };
    try {
      yield { type: "tool-input-available", ...call, input: JSON.parse(text || "{}") };
    } catch {
      yield { type: "tool-input-error", ...call, input: text, errorText: "the arguments are not JSON" };
    }
  }
}

const random = () => crypto.getRandomValues(new Uint32Array(1))[0].toString(36);

/** What of a list is no harm to look at: gateways send all sorts of things. */
const objects = (list) => (Array.isArray(list) ? list.filter((item) => typeof item === "object" && item) : []);

/** What a tool gave, as it was before it was written for the model. */
function value(content) {
  try {
    return JSON.parse(content);
  } catch {
    return content;
  }
}
