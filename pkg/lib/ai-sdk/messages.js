import { withAnswers } from "../chat/tools.js";

const text = (parts) => parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");

/** The AI SDK's messages in OpenAI's shape. What the model wrote for itself (reasoning) and data parts stay here. */
export const toModelMessages = (messages) =>
  withAnswers(messages.flatMap((message) => convert[message.role]?.(message.parts) ?? []));

const convert = {
  system: (parts) => [{ role: "system", content: text(parts) }],
  user: (parts) => {
    const content = parts.flatMap((part) =>
      part.type === "text" ? [{ type: "text", text: part.text }] : part.type === "file" ? [file(part)] : [],
    );
    return [{ role: "user", content: content.every(({ type }) => type === "text") ? text(parts) : content }];
  },
  assistant: (parts) => {
    // Each step is a message of its own, before the results of the tools that it called.
    const steps = [[]];
    for (const part of parts) {
      if (part.type === "step-start") steps.push([]);
      else steps.at(-1).push(part);
    }
    return steps.filter((step) => step.length > 0).flatMap(assistantStep);
  },
};

function file({ url, mediaType, filename }) {
  if (mediaType?.startsWith("image/")) return { type: "image_url", image_url: { url } };
  return { type: "file", file: { filename, file_data: url } };
}

function assistantStep(parts) {
  const called = parts.filter(({ toolCallId }) => toolCallId);
  const content = text(parts);
  if (!content && called.length === 0) return [];
  const calls = called.map((part) => ({
    id: part.toolCallId,
    type: "function",
    function: { name: part.toolName ?? part.type.replace(/^tool-/, ""), arguments: JSON.stringify(part.input ?? {}) },
  }));
  return [
    { role: "assistant", content: content || null, ...(calls.length > 0 && { tool_calls: calls }) },
    ...called.flatMap(({ toolCallId, state, output, errorText }) => {
      if (state !== "output-available" && state !== "output-error") return [];
      const result = state === "output-error" ? { error: errorText } : output;
      return [
        {
          role: "tool",
          tool_call_id: toolCallId,
          content: typeof result === "string" ? result : JSON.stringify(result ?? null),
        },
      ];
    }),
  ];
}
