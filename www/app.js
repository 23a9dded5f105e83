import { createClient, generateSessionId } from "behest-client";
import { chatStore } from "behest-client/chat";

import { createAuth } from "./auth.js";
import { budgetBar } from "./budget.js";
import { chatPanel } from "./chat.js";
import { checkup } from "./checkup.js";
import { conversationList } from "./conversations.js";
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

  // Each conversation has a session, and so a token, of its own, and a thread in which the gateway keeps it.
  let talk;
  /** The thread in whose place the one on the screen is. */
  let replaced;
  const doctor = checkup(() => behest.doctor());
  const token = tokenPanel(() => talk?.token.peek() ?? null);
  const budget = budgetBar();
  const usage = usagePanel(() => talk.usage.get(), () => talk?.sessionId, budget.draw);
  const form = signInForm(auth, settings.demoUser);
  const conversations = conversationList({
    threads: () => talk.threads,
    current: () => talk?.threadId,
    open(threadId) {
      begin({ threadId });
      closeDrawers();
    },
    leave: () => begin(),
  });
  const chat = chatPanel({
    onAsk: () => counts.add("questions"),
    onChange: token.draw,
    onAnswer() {
      void usage.afterAnswer();
      void conversations.afterAnswer(replaced);
      replaced = undefined;
    },
    // What a thread holds cannot be changed. So another one takes its place, in the same session.
    onReplace(messages) {
      const { threadId, sessionId } = talk;
      begin({ messages, sessionId });
      replaced = threadId;
    },
    remedies: {
      sign_in: { label: "Sign in again", run: () => auth.signOut() },
      upgrade: { label: "New conversation", run: () => begin() },
      give_up: { label: "New conversation", run: () => begin() },
      fix_config: {
        label: "Look for the cause",
        run() {
          openDrawer("details");
          void doctor.run();
          byId("checkup-title").scrollIntoView({ block: "start" });
        },
      },
    },
  });
  let shownUser;

  function sessionChanged(session, expired) {
    tellClient(session);
    show(session, expired);
  }

  /** Shows a conversation: that of a thread, or a new one, which may begin with what was said in another one. */
  function begin({ threadId, messages, sessionId } = {}) {
    talk = behest.conversation({ threadId: threadId ?? generateSessionId(), sessionId });
    const store = chatStore({ conversation: () => talk, threads: talk.threads });
    void store.setThread(talk.threadId, threadId ? undefined : []);
    if (messages) store.setMessages(messages);
    replaced = undefined;
    chat.open(store);
    token.draw();
    budget.draw();
    conversations.draw();
  }

  function show(session, expired = false) {
    const user = session?.user.id ?? null;
    if (user === shownUser) return;
    const atStart = shownUser === undefined;
    shownUser = user;
    if (!atStart) {
      usage.clear();
      counts.clear();
      conversations.clear();
      doctor.clear();
    }
    begin();
    closeDrawers();
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
    begin();
    closeDrawers();
    chat.focus();
  });
  byId("sign-out").addEventListener("click", () => auth.signOut());
  show(auth.current());
}

/** On narrow screens the panels beside the conversation are drawers, one open at a time. */
const DRAWERS = ["conversations", "details"];

function openDrawer(name, isOpen = true) {
  for (const drawer of DRAWERS) {
    const is = isOpen && drawer === name;
    byId(drawer).classList.toggle("open", is);
    byId(`${drawer}-toggle`).ariaExpanded = String(is);
  }
}

const closeDrawers = () => openDrawer();

for (const drawer of DRAWERS) {
  byId(`${drawer}-toggle`).addEventListener("click", () => openDrawer(drawer, !byId(drawer).classList.contains("open")));
}

try {
  start(await loadSettings());
} catch (error) {
  byId("startup-error").hidden = false;
  byId("startup-error").append(errorCard(error));
}
