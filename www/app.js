import { createClient } from "behest-client";

import { createAuth } from "./auth.js";
import { chatPanel } from "./chat.js";
import { counters } from "./counts.js";
import { byId } from "./dom.js";
import { errorCard } from "./errors.js";
import { loadSettings } from "./settings.js";
import { signInForm } from "./signin.js";
import { tokenPanel } from "./token.js";
import { usagePanel } from "./usage.js";

function start(settings) {
  const { supabaseUrl, behestUrl, functionName } = settings;
  const counts = counters(`${supabaseUrl}/functions/v1/${functionName}`);
  const auth = createAuth(settings, sessionChanged);
  let tellClient = () => {};
  // What a supabase-js client is to behest-client: it gives the session, and tells of every change of it.
  const supabase = {
    supabaseUrl,
    auth: {
      async getSession() {
        counts.add("session-reads");
        const access_token = await auth.accessToken();
        return { data: { session: access_token && { access_token } }, error: null };
      },
      onAuthStateChange(changed) {
        tellClient = (session) => changed("", session && { access_token: session.accessToken });
        return { data: { subscription: { unsubscribe() {} } } };
      },
    },
  };
  const behest = createClient({ supabase, behestUrl, functionName });
  // For readers who want to try it: open the console and type `await behest.ask("Hi!")`.
  globalThis.behest = behest;

  // The client itself is the first conversation; each further one has a session, and so a token, of its own.
  let talk = behest;
  const token = tokenPanel(() => talk.token.peek());
  const usage = usagePanel(() => talk.usage.get(), () => talk.token.peek()?.sessionId);
  const form = signInForm(auth, settings.demoUser);
  const create = (...request) => talk.chat.completions.create(...request);
  const chat = chatPanel(create, {
    onAsk: () => counts.add("questions"),
    onStream: token.draw,
    onAnswer(end) {
      // A question that never reached the gateway left nothing to report.
      if (end.sessionId) void usage.afterAnswer();
    },
    onSignIn: () => auth.signOut(),
  });
  let shownUser;

  function sessionChanged(session, expired) {
    tellClient(session);
    show(session, expired);
  }

  /** Goes on with an empty page through `client`. */
  function begin(client) {
    talk = client;
    chat.clear();
    token.draw();
  }

  function show(session, expired = false) {
    const user = session?.user.id ?? null;
    if (user === shownUser) return;
    const atStart = shownUser === undefined;
    shownUser = user;
    if (!atStart) {
      usage.clear();
      counts.clear();
      begin(behest);
    }
    byId("welcome").hidden = user !== null;
    byId("workspace").hidden = user === null;
    byId("account").hidden = user === null;
    byId("who").textContent = session?.user.email ?? "";
    if (user !== null) chat.focus();
    else if (expired) form.open("Your session has ended. Please sign in again.");
    // On a touch screen the keyboard would hide half of the page before it was read.
    else if (!atStart || matchMedia("(hover: hover)").matches) form.open();
  }

  byId("new-conversation").addEventListener("click", () => {
    begin(behest.conversation());
    chat.focus();
  });
  byId("sign-out").addEventListener("click", () => auth.signOut());
  const toggle = byId("details-toggle");
  toggle.addEventListener("click", () => {
    const open = byId("details").classList.toggle("open");
    toggle.ariaExpanded = String(open);
  });

  show(auth.current());
}

try {
  start(await loadSettings());
} catch (error) {
  byId("startup-error").hidden = false;
  byId("startup-error").append(errorCard(error));
}
