import { words } from "../error.js";
import { jsonOf, jsonSchemaOf, validated } from "./schema.js";

/** The tools in OpenAI's shape. A bare function is described elsewhere: by the body's own `tools`. */
export function definitions(tools = {}) {
  return Object.entries(tools)
    .filter(([, tool]) => typeof tool !== "function")
    .map(([name, { description, parameters = { type: "object", properties: {} } }]) => ({
      type: "function",
      function: { name, description, parameters: jsonSchemaOf(parameters) },
    }));
}

const own = (tools, name) => (tools && Object.hasOwn(tools, name) ? tools[name] : undefined);

const runs = (tool) => (typeof tool === "function" ? tool : tool?.run);

/** Those of the calls that are answered here. One that no tool is known for is: with an error that tells the model so. */
export const answerable = (calls, tools) =>
  tools === undefined ? [] : calls.filter(({ function: { name } }) => !own(tools, name) || runs(own(tools, name)));

/** The answers to these calls, in their order. Whatever goes wrong is told to the model. */
export const answers = (calls, tools, signal) =>
  Promise.all(
    calls.map(async ({ id, function: { name, arguments: text } }) => {
      let content;
      try {
        const tool = own(tools, name);
        if (!tool) throw new Error(`there is no tool ${name}`);
        const what = `the arguments of ${name}`;
        const given = await validated(tool.parameters ?? {}, jsonOf(text || "{}", what), what);
        const result = await runs(tool)(given, { signal, toolCallId: id });
        content = typeof result === "string" ? result : JSON.stringify(result ?? null);
      } catch (thrown) {
        content = JSON.stringify({ error: words(thrown) });
      }
      return { role: "tool", tool_call_id: id, content };
    }),
  );

/** Every call of a tool must have an answer before the model is asked again: those that were stopped have none. */
export function withAnswers(messages) {
  const missing = ({ tool_calls: calls }, place) => (calls ?? []).filter(({ id }) => !isAnswered(id, messages.slice(place + 1)));
  const stopped = ({ id }) => ({ role: "tool", tool_call_id: id, content: '{"error":"it was stopped"}' });
  return messages.flatMap((message, place) => [message, ...missing(message, place).map(stopped)]);
}

/** Is the call answered in what follows? Some servers have the same ids in each of their answers. */
function isAnswered(id, messages) {
  const next = messages.find(({ tool_call_id, tool_calls }) => tool_call_id === id || tool_calls?.some((call) => call.id === id));
  return next?.tool_call_id === id;
}
