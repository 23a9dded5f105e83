import { byId, element } from "./dom.js";
import { errorCard } from "./errors.js";

const ENDINGS = {
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

/**
 * The conversation: asks with `create`, which is `chat.completions.create` of a client, shows answers as they come,
 * and keeps the history that is sent along.
 */
export function chatPanel(create, { onAsk, onStream, onAnswer, onSignIn }) {
  const form = byId("composer");
  const question = byId("question");
  const send = byId("send");
  const stop = byId("stop");
  const log = byId("log");
  const messages = byId("messages");
  const announcer = byId("announcer");
  const turns = [];
  let running = null;
  let following = true;

  async function ask(text) {
    if (running || text.trim() === "") return;
    const controller = new AbortController();
    running = controller;
    busy(true);
    byId("empty").hidden = true;
    const sent = [...history(), { role: "user", content: text }];
    const turn = addTurn(text);
    onAsk();
    const end = await answer(sent, turn, controller.signal);
    if (running !== controller) return;
    running = null;
    busy(false);
    close(turn, end);
    onAnswer(end);
  }

  /** What was said so far. A turn without an answer is left out: it would only confuse the next one. */
  function history() {
    return turns
      .filter((turn) => turn.text.data !== "")
      .flatMap((turn) => [
        { role: "user", content: turn.question },
        { role: "assistant", content: turn.text.data },
      ]);
  }

  async function answer(sent, turn, signal) {
    const began = performance.now();
    const end = {};
    let stream;
    try {
      const request = { messages: sent, stream: true, stream_options: { include_usage: true } };
      stream = await create(request, { signal });
      onStream();
      for await (const text of stream.text()) {
        end.firstMs ??= performance.now() - began;
        turn.text.appendData(text);
        follow();
      }
    } catch (error) {
      end.error = error;
    }
    end.totalMs = performance.now() - began;
    end.sessionId = stream?.sessionId;
    end.usage = stream?.usage;
    end.outcome = stream?.outcome ?? (end.error?.reason === "aborted" ? "aborted" : "failed");
    return end;
  }

  function addTurn(question) {
    const text = document.createTextNode("");
    const who = element("span", { className: "visually-hidden" }, "You asked: ");
    const asked = element("li", { className: "asked" }, who, question);
    const body = element("div", { className: "answer-text" }, text);
    const answered = element("li", { className: "answered", ariaBusy: "true" }, body);
    messages.append(asked, answered);
    following = true;
    follow();
    announcer.textContent = "Answering.";
    const turn = { question, text, asked, answered, body };
    turns.push(turn);
    return turn;
  }

  function remove(turn) {
    turns.splice(turns.indexOf(turn), 1);
    turn.asked.remove();
    turn.answered.remove();
  }

  function close(turn, end) {
    turn.answered.ariaBusy = null;
    turn.body.hidden = turn.text.data === "";
    turn.answered.append(ending(end));
    if (end.error && end.outcome !== "aborted") {
      const again = {
        label: "Ask again",
        run() {
          if (running) return;
          remove(turn);
          question.focus();
          void ask(turn.question);
        },
      };
      const card = errorCard(end.error, {
        retry_after: again,
        re_mint: again,
        sign_in: { label: "Sign in again", run: onSignIn },
      });
      turn.answered.append(card);
      announcer.textContent = "";
    } else {
      // Said once and whole: an answer read out piece by piece cannot be followed.
      announcer.textContent = `${ENDINGS[end.outcome] ?? end.outcome}: ${turn.text.data}`;
    }
    follow();
  }

  function ending(end) {
    const facts = [ENDINGS[end.outcome]];
    if (end.usage?.total_tokens) facts.push(`${end.usage.total_tokens} tokens`);
    if (end.firstMs !== undefined) facts.push(`first words after ${duration(end.firstMs)}, all after ${duration(end.totalMs)}`);
    const badge = element("span", { className: "outcome", dataset: { outcome: end.outcome } }, end.outcome);
    const title = end.sessionId ? `session ${end.sessionId}` : "";
    return element("p", { className: "ending", title }, badge, ` ${facts.filter(Boolean).join(" · ")}`);
  }

  /** Stays at the newest text unless the reader has scrolled away from it. */
  function follow() {
    if (following) log.scrollTop = log.scrollHeight;
  }

  function busy(is) {
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
    if (running) return;
    const text = question.value.trim();
    question.value = "";
    fit();
    void ask(text);
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
  document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
  stop.addEventListener("click", () => running?.abort());
  byId("suggestions").addEventListener("click", (event) => {
    const chosen = event.target.closest("button");
    if (!chosen) return;
    question.focus();
    void ask(chosen.textContent);
  });

  return {
    focus: () => question.focus(),

    /** Forgets the conversation; an answer on its way is cancelled. */
    clear() {
      running?.abort();
      running = null;
      busy(false);
      turns.length = 0;
      messages.replaceChildren();
      announcer.textContent = "";
      question.value = "";
      fit();
      byId("empty").hidden = false;
    },
  };
}
