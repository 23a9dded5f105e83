import { byId } from "./dom.js";
import { ENDINGS, textOf, turnList } from "./turns.js";

/**
 * The conversation on the screen: a composer and the turns of a chat store (`behest-client/chat`), which keeps the messages and
 * says what is going on. `open` shows another store.
 */
export function chatPanel({ onAsk, onChange, onAnswer, onReplace, remedies }) {
  const form = byId("composer");
  const question = byId("question");
  const send = byId("send");
  const stop = byId("stop");
  const log = byId("log");
  const announcer = byId("announcer");
  const turns = turnList(byId("messages"), { edit, retry: again, remedies: remediesOf });
  let chat;
  let leave = () => {};
  let editing;
  let timing;
  let following = true;
  let isBusy = false;

  function draw(state) {
    const { messages, status } = state;
    const isRunning = status === "submitted" || status === "streaming";
    if (timing && status === "streaming") timing.firstMs ??= performance.now() - timing.began;
    // Before it runs, the question that had no answer may be taken away.
    if (timing && isBusy && !isRunning) timing.totalMs ??= performance.now() - timing.began;
    byId("empty").hidden = messages.length > 0 || state.loading;
    byId("loading").hidden = !state.loading;
    turns.draw(state, timing);
    if (isRunning !== isBusy) busy(isRunning);
    if (following) log.scrollTop = log.scrollHeight;
    onChange(state);
  }

  async function ask(text) {
    if (isBusy || text === "") return;
    const asked = chat;
    following = true;
    timing = { began: performance.now() };
    announcer.textContent = "Answering.";
    onAsk();
    withoutUnanswered();
    const turn = await chat.send(text);
    if (asked !== chat) return;
    // Said once and whole: an answer read out piece by piece cannot be followed. An error speaks for itself.
    const { outcome, error, message } = turn;
    const said = byId("messages").lastElementChild?.querySelector(".answer-text")?.textContent ?? "";
    announcer.textContent = error ? "" : `${ENDINGS[outcome] ?? outcome}: ${said}`;
    if (message || outcome === "aborted") onAnswer(turn);
  }

  /** A question without an answer would only confuse the next one. */
  function withoutUnanswered() {
    if (chat.messages.at(-1)?.role === "user") chat.setMessages(chat.messages.slice(0, -1));
  }

  /** Asks in place of an earlier question; what followed it goes. */
  function replace(message, text) {
    if (isBusy) return;
    onReplace(chat.messages.slice(0, chat.messages.findIndex(({ id }) => id === message.id)));
    void ask(text);
  }

  function again() {
    const last = chat.messages.findLast(({ role }) => role === "user");
    question.focus();
    replace(last, textOf(last));
  }

  function remediesOf() {
    const retry = { label: "Ask again", run: again };
    return { retry_after: retry, re_mint: retry, ...remedies };
  }

  function edit(message) {
    editing = message;
    byId("editing").hidden = false;
    question.value = textOf(message);
    fit();
    question.focus();
  }

  function leaveEdit() {
    editing = undefined;
    byId("editing").hidden = true;
    question.value = "";
    fit();
  }

  function busy(is) {
    isBusy = is;
    const focused = document.activeElement;
    send.hidden = is;
    stop.hidden = !is;
    // The button under the finger or the focus has just gone.
    if (is && focused === send) stop.focus();
    if (!is && (focused === stop || focused === document.body)) question.focus();
  }

  /** For browsers that cannot size a text field by its content. */
  function fit() {
    if (CSS.supports("field-sizing", "content")) return;
    question.style.height = "auto";
    if (question.value) question.style.height = `${question.scrollHeight}px`;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = question.value.trim();
    if (isBusy || text === "") return;
    const edited = editing;
    leaveEdit();
    if (edited) replace(edited, text);
    else void ask(text);
  });
  log.addEventListener("scroll", () => {
    following = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  });
  question.addEventListener("input", fit);
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (isBusy) chat.stop();
    else if (editing) leaveEdit();
  });
  stop.addEventListener("click", () => chat.stop());
  byId("editing-cancel").addEventListener("click", leaveEdit);
  byId("suggestions").addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    question.focus();
    void ask(chosen.textContent);
  });

  return {
    focus: () => question.focus(),

    /** Shows this conversation. An answer on its way in the former one is cancelled. */
    open(store) {
      leave();
      chat?.stop();
      chat = store;
      timing = undefined;
      announcer.textContent = "";
      leaveEdit();
      leave = chat.subscribe(draw);
    },
  };
}
