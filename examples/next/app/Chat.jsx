"use client";

import { useBehestChat } from "behest-client/react";

const tools = {
  get_time: { description: "The time of day on this machine", run: () => new Date().toLocaleTimeString() },
};

export function Chat() {
  const { messages, status, error, outcome, input, setInput, send, stop, regenerate, clear, isLoading } = useBehestChat({
    tools,
  });

  function ask(event) {
    event.preventDefault();
    send();
  }

  return (
    <>
      <ol>
        {messages
          .filter(({ role, content }) => role !== "tool" && content)
          .map(({ id, role, content }) => (
            <li key={id} data-role={role}>
              {content}
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
        <button type="button" onClick={clear}>
          New chat
        </button>
      </form>
    </>
  );
}
