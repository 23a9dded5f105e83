// The AI SDK's useChat over the transport, in a page with a scripted world.
import { useChat } from "@ai-sdk/react";
import { lastAssistantMessageIsCompleteWithToolCalls } from "ai";
import { BehestChatTransport } from "behest-client/ai-sdk";
import * as lab from "behest-client/testing";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";

import { chats, setting, until } from "./scripted.js";

/** Renders useChat over a transport with these options; `seen.now` is what it gave last. */
function mount(behest, transportOptions = {}, chatOptions = {}) {
  const seen = { said: [] };
  const transport = new BehestChatTransport(behest, transportOptions);
  function Probe() {
    const chat = useChat({ id: "chat-1", transport, ...chatOptions });
    useEffect(() => {
      seen.now = chat;
      seen.said.push(chat.status);
    });
    return null;
  }
  const root = createRoot(document.createElement("div"));
  root.render(
    <StrictMode>
      <Probe />
    </StrictMode>,
  );
  return { seen, transport, unmount: () => root.unmount() };
}

const bodies = (world) => chats(world).map(({ body }) => JSON.parse(body));
/** A stream that calls one tool, in two pieces. */
const calls = (name, args) => {
  const piece = (more) =>
    lab.event({ id: "c", choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...more }] }, finish_reason: null }] });
  return lab.stream([
    piece({ id: "call-1", type: "function", function: { name, arguments: args.slice(0, 3) } }),
    piece({ function: { arguments: args.slice(3) } }),
    lab.finish("tool_calls"),
  ]);
};

globalThis.app = { setting, mount, until, chats, bodies, calls, lab, lastAssistantMessageIsCompleteWithToolCalls };
