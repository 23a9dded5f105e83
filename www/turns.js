import { button, element } from "./dom.js";
import { errorCard } from "./errors.js";
import { markdownView } from "./markdown/view.js";

export const ENDINGS = {
  complete: "the answer is whole",
  length: "the length limit was reached",
  content_filter: "a guardrail ended the answer",
  tool_calls: "the model asks for a tool",
  aborted: "stopped by you, the text so far is kept",
  disconnected: "the connection broke, the text so far is kept",
  stalled: "the answer went silent, the text so far is kept",
  truncated: "the end is missing, the text so far is kept",
  failed: "no answer",
};

const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** What a message says: its text, or the texts among its parts. */
export const textOf = ({ content }) =>
  Array.isArray(content) ? content.map(({ text }) => text ?? "").join("") : (content ?? "");

/** Each question with what was answered to it. */
function turnsOf(messages) {
  const turns = [];
  for (const message of messages) {
    if (message.role === "user") turns.push({ question: message, answer: "", info: undefined });
    const turn = turns.at(-1);
    if (message.role !== "assistant" || !turn) continue;
    turn.answer = [turn.answer, textOf(message)].filter(Boolean).join("\n\n");
    turn.info = message.info;
  }
  return turns;
}

/**
 * The questions and answers of a conversation, in `place`. `draw` shows a state of the chat store; what has not changed since the
 * last one stays as it is. `actions`: `edit(question)`, `retry()`, `remedies()`.
 */
export function turnList(place, actions) {
  let views = [];

  return {
    draw({ messages, status, outcome, error }, timing) {
      const turns = turnsOf(messages);
      const isRunning = status === "submitted" || status === "streaming";
      const same = turns.findIndex(({ question }, index) => views[index]?.id !== question.id || views[index].asks !== textOf(question));
      const kept = views.slice(0, same < 0 ? turns.length : same);
      for (const view of views.slice(kept.length)) view.remove();
      views = kept;
      for (const { question } of turns.slice(kept.length)) views.push(turnView(place, question, actions));
      for (const [index, turn] of turns.entries()) {
        const isLast = index === turns.length - 1;
        if (isLast && isRunning) views[index].run(turn.answer);
        else views[index].end(turn, isLast ? { outcome, error, timing } : {}, isLast);
      }
    },
  };
}

function turnView(place, question, { edit, retry, remedies }) {
  const asks = textOf(question);
  const who = element("span", { className: "visually-hidden" }, "You asked: ");
  const change = button("Edit", () => edit(question), { className: "small" });
  const asked = element("li", { className: "asked" }, element("p", {}, who, asks), change);
  const body = element("div", { className: "answer-text" });
  const show = markdownView(body);
  const answered = element("li", { className: "answered", ariaBusy: "true" }, body);
  place.append(asked, answered);
  let ending;
  let below = [];

  function clear() {
    for (const node of below) node.remove();
    below = [];
    ending = undefined;
  }

  return {
    id: question.id,
    asks,

    remove() {
      asked.remove();
      answered.remove();
    },

    /** The answer is on its way. */
    run(text) {
      if (ending) clear();
      body.hidden = false;
      answered.ariaBusy = "true";
      show(text, true);
    },

    /** It has ended, or was kept from an earlier visit. */
    end({ answer, info }, { outcome, error, timing }, isLast) {
      const ended = outcome ?? info?.outcome ?? ending?.outcome;
      if (ending && ending.isLast === isLast && ending.outcome === ended && ending.error === error) return;
      const facts = ending?.facts ?? factsOf(ended, info, timing);
      clear();
      ending = { isLast, outcome: ended, error, facts };
      answered.ariaBusy = null;
      show(answer, false);
      body.hidden = answer === "";
      const offers = [];
      if (answer) offers.push(button("Copy", (event) => void copy(event.currentTarget, answer), { className: "small" }));
      if (isLast && !error) offers.push(button("Try again", retry, { className: "small" }));
      if (ended) below.push(element("p", { className: "ending" }, badge(ended), ` ${facts}`));
      if (error) below.push(errorCard(error, remedies()));
      if (offers.length > 0) below.push(element("p", { className: "offers" }, offers));
      answered.append(...below);
    },
  };
}

const badge = (outcome) => element("span", { className: "outcome", dataset: { outcome } }, outcome);

function factsOf(outcome, info, timing) {
  const facts = [ENDINGS[outcome]];
  if (info?.usage?.total_tokens) facts.push(`${info.usage.total_tokens} tokens`);
  if (timing?.firstMs !== undefined) facts.push(`first words after ${duration(timing.firstMs)}, all after ${duration(timing.totalMs)}`);
  return facts.filter(Boolean).join(" · ");
}

async function copy(pressed, text) {
  // A page of another machine without https has no clipboard at all.
  const write = async () => navigator.clipboard.writeText(text);
  pressed.textContent = await write().then(() => "Copied", () => "Not allowed");
  setTimeout(() => (pressed.textContent = "Copy"), 2000);
}
