import { byId, element } from "./dom.js";
import { errorCard } from "./errors.js";

const dates = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** A date as people write it, or nothing if it is none. */
function dateOf(text) {
  const date = new Date(text ?? "");
  return Number.isNaN(date.getTime()) ? "" : dates.format(date);
}

/**
 * The threads that the gateway keeps for this user, in a side list. `threads` gives the client's `threads`, `current` the id of
 * the one on the screen. Nothing is fetched before somebody asks for it, or has asked a question.
 */
export function conversationList({ threads, current, open, leave }) {
  const list = byId("threads");
  const note = byId("threads-note");
  const earlier = byId("threads-earlier");
  let known = [];
  let round = 0;

  function draw() {
    list.replaceChildren(...known.map(item));
  }

  function item({ id, title, last_message_at: last }) {
    const name = title || "Untitled";
    const choose = element("button", { type: "button", className: "thread", title: dateOf(last) }, element("span", {}, name));
    if (id === current()) choose.ariaCurrent = "true";
    choose.addEventListener("click", () => open(id));
    const drop = element("button", { type: "button", className: "drop", ariaLabel: `Delete “${name}”` }, "×");
    drop.addEventListener("click", () => void remove(id));
    return element("li", { dataset: { thread: id } }, choose, drop);
  }

  async function refresh() {
    const mine = ++round;
    earlier.hidden = true;
    try {
      const found = await threads().list();
      if (mine !== round) return;
      known = Array.isArray(found) ? found : (found?.threads ?? found?.data ?? []);
      note.replaceChildren(known.length > 0 ? "" : "None yet.");
      draw();
    } catch (error) {
      if (mine === round) note.replaceChildren(error.status === 404 ? "This gateway keeps no conversations." : errorCard(error));
    }
  }

  async function remove(id) {
    const before = known;
    const mine = round;
    known = known.filter((thread) => thread.id !== id);
    draw();
    try {
      await threads().delete(id);
      if (id === current()) leave();
    } catch (error) {
      // The list has been read anew meanwhile, or is another user's.
      if (mine !== round) return;
      known = before.filter((thread) => thread.id === id || known.includes(thread));
      draw();
      note.replaceChildren(errorCard(error));
    }
  }

  earlier.addEventListener("click", () => void refresh());
  return {
    /** Another conversation is on the screen. */
    draw,

    /** The one on the screen has another answer, and stands in the place of `replaced`, if that is given. */
    async afterAnswer(replaced) {
      if (known.some(({ id }) => id === replaced)) await remove(replaced);
      const place = known.findIndex(({ id }) => id === current());
      if (place < 0) return refresh();
      known = [known[place], ...known.toSpliced(place, 1)];
      draw();
    },

    clear() {
      round += 1;
      known = [];
      earlier.hidden = false;
      note.replaceChildren();
      draw();
    },
  };
}
