import { useChat } from "@ai-sdk/react";
import { BehestChatTransport } from "behest-client/ai-sdk";
import { useState } from "react";

import { behest } from "./clients.js";

const transport = new BehestChatTransport(behest, {
  tools: { get_time: { description: "The time of day on this machine", run: () => new Date().toLocaleTimeString() } },
});

export function Chat() {
  const { messages, sendMessage, status, error, stop, regenerate } = useChat({ transport });
  const [input, setInput] = useState("");
  const isLoading = status === "submitted" || status === "streaming";
  const outcome = messages.at(-1)?.metadata?.outcome;

  function ask(event) {
    event.preventDefault();
    sendMessage({ text: input });
    setInput("");
  }

  return (
    <>
      <ol>
        {messages.map(({ id, role, parts }) => (
          <li key={id} data-role={role}>
            {parts.map((part, index) => {
              if (part.type === "tool-get_time") return <code key={index}>{part.output ?? "…"}</code>;
              return <span key={index}>{part.text}</span>;
            })}
          </li>
        ))}
      </ol>
      <p role="status">{status === "ready" ? (outcome ?? "ready") : status}</p>
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={ask}>
        <label>
          Your question <input value={input} onChange={(event) => setInput(event.target.value)} />
        </label>
        <button disabled={isLoading}>Send</button>
        <button type="button" onClick={stop} disabled={!isLoading}>
          Stop
        </button>
        <button type="button" onClick={() => regenerate()} disabled={isLoading}>
          Again
        </button>
      </form>
    </>
  );
}
