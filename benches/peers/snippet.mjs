/**
 * What a page needs without behest-client: supabase-js for the session, `openai` for the chat, and a token cache
 * written by hand.
 */
import { createClient } from "@supabase/supabase-js";
import OpenAI from "openai";

const MARGIN_SECONDS = 60;

export function chatWith({ supabaseUrl, publishableKey, behestUrl }) {
  const supabase = createClient(supabaseUrl, publishableKey);
  let cached;
  let pending;

  async function fetchToken() {
    const { data } = await supabase.auth.getSession();
    if (!data.session) throw new Error("not signed in");
    const reply = await fetch(`${supabaseUrl}/functions/v1/behest-token`, {
      method: "POST",
      headers: { authorization: `Bearer ${data.session.access_token}` },
    });
    if (!reply.ok) throw new Error(`the token function answered ${reply.status}`);
    return reply.json();
  }

  async function token() {
    if (cached && cached.expiresAt - Date.now() / 1000 > MARGIN_SECONDS) return cached;
    pending ??= fetchToken().finally(() => (pending = undefined));
    return (cached = await pending);
  }

  async function* ask(messages, signal) {
    const { token: apiKey, sessionId } = await token();
    const openai = new OpenAI({
      apiKey,
      baseURL: `${behestUrl}/v1`,
      dangerouslyAllowBrowser: true,
      defaultHeaders: { "X-Session-Id": sessionId },
    });
    const stream = await openai.chat.completions.create({ model: "default", messages, stream: true }, { signal });
    for await (const chunk of stream) yield chunk.choices[0]?.delta?.content ?? "";
  }

  return { supabase, ask };
}
