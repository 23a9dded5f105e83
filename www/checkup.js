import { byId, element } from "./dom.js";
import { errorCard } from "./errors.js";

const MARKS = new Map([[true, "ok"], [false, "wrong"], [null, "skipped"]]);

/** The doctor's report: a line for each thing that was looked at, and what to change. */
export function checkup(examine) {
  const start = byId("checkup-start");
  const place = byId("checkup");

  async function run() {
    start.disabled = true;
    place.ariaBusy = "true";
    place.replaceChildren(element("p", { className: "muted" }, "Looking at the whole way from the session to an answer …"));
    try {
      const { ok, lines } = await examine();
      place.replaceChildren(
        element("p", { className: "muted" }, ok ? "Nothing is wrong." : "Something is set up wrongly:"),
        element("ul", { className: "checks" }, lines.map(line)),
      );
    } catch (error) {
      place.replaceChildren(errorCard(error));
    } finally {
      place.ariaBusy = null;
      start.disabled = false;
    }
  }

  start.addEventListener("click", () => void run());
  return { run, clear: () => place.replaceChildren() };
}

function line({ check, ok, detail, fix }) {
  const mark = MARKS.get(ok);
  const parts = [element("span", { className: "mark" }, mark), ` ${check}`];
  if (detail) parts.push(element("span", { className: "muted" }, `: ${detail}`));
  if (fix) parts.push(element("strong", {}, fix));
  return element("li", { dataset: { mark } }, parts);
}
