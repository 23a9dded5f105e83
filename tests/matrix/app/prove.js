import { createClient } from "behest-client";
import { chatStore } from "behest-client/chat";

/** Asks, streams, chats, and fetches through the client: what every tool must leave working. */
export async function prove({ supabaseUrl, behestUrl, session }) {
  const behest = createClient({ supabaseUrl, behestUrl, getAccessToken: () => session });
  const answer = await behest.ask("Hi!");
  const stream = await behest.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], stream: true });
  let pieces = 0;
  for await (const text of stream.text()) pieces += text.length > 0 ? 1 : 0;
  const turn = await chatStore(behest).send("Hi!");
  const { status } = await behest.fetch(`${behest.openaiBaseUrl}/models`);
  return { asks: answer.length > 0, streams: pieces > 1, outcome: stream.outcome, chats: turn.outcome, fetches: status };
}
