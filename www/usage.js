import { byId, element } from "./dom.js";
import { errorCard } from "./errors.js";

const whole = new Intl.NumberFormat("en");
const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumFractionDigits: 6 });

/** A gateway books a request just after its last byte, so a report taken at once may lack it. */
const BOOKING_MS = 600;
const BOOKING_TRIES = 3;

/** The signed-in user's usage, one row for each session, as the gateway reports it. The current one's goes to `drawBudget`, too. */
export function usagePanel(load, currentSession, drawBudget) {
  const place = byId("usage");
  const button = byId("usage-refresh");
  let round = 0;
  let booked = 0;

  async function refresh() {
    const mine = ++round;
    place.ariaBusy = "true";
    try {
      const report = await load();
      if (mine === round) place.replaceChildren(...draw(report));
    } catch (error) {
      if (mine === round) place.replaceChildren(problem(error));
    } finally {
      if (mine === round) place.ariaBusy = null;
    }
    return mine === round;
  }

  function draw(report) {
    const sessions = report?.sessions;
    if (!Array.isArray(sessions)) return totalsOnly(report);
    booked = sum(sessions, "requests");
    drawBudget(sessions.find(({ session_id }) => session_id === currentSession()));
    if (sessions.length === 0) return [note("Nothing used yet.")];
    const owner = element("p", { className: "owner" }, "User ", element("code", {}, report.user_id ?? "–"));
    return [owner, table(sessions, currentSession())];
  }

  button.addEventListener("click", refresh);
  return {
    refresh,

    /** Reads the report until it has the request that has just ended, or a few times at most. */
    async afterAnswer() {
      const before = booked;
      for (let attempt = 1; attempt <= BOOKING_TRIES; attempt += 1) {
        if (!(await refresh()) || booked > before) return;
        await new Promise((done) => setTimeout(done, BOOKING_MS));
      }
    },

    clear() {
      round += 1;
      booked = 0;
      place.ariaBusy = null;
      place.replaceChildren(note("Appears after your first question."));
    },
  };
}

const note = (text) => element("p", { className: "muted" }, text);
const sum = (rows, key) => rows.reduce((total, row) => total + (Number(row[key]) || 0), 0);

function problem(error) {
  return error.status === 404 ? note("This gateway has no usage report.") : errorCard(error);
}

/** The documented report knows no sessions; it has totals in one of two shapes. */
function totalsOnly(report) {
  const totals = report?.totals ?? report?.platform ?? {};
  const tokens = totals.tokens ?? (totals.input_tokens ?? 0) + (totals.output_tokens ?? 0);
  return [note(`This gateway reports totals only: ${whole.format(tokens)} tokens, ${dollars.format(totals.cost_usd ?? 0)}.`)];
}

function table(sessions, current) {
  const head = ["Session", "Asked", "Tokens", "Cost"];
  const made = element("table", {});
  made.append(element("caption", { className: "visually-hidden" }, "Requests, tokens and cost of each session"));
  made.append(element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))));
  made.append(element("tbody", {}, ...sessions.map((session) => row(session, current))));
  if (sessions.length > 1) made.append(element("tfoot", {}, cells(element("th", { scope: "row" }, "All sessions"), {
    requests: sum(sessions, "requests"),
    input_tokens: sum(sessions, "input_tokens"),
    output_tokens: sum(sessions, "output_tokens"),
    cost_usd: sum(sessions, "cost_usd"),
  })));
  return made;
}

function row(session, current) {
  const id = session.session_id ?? "no session";
  const name = element("th", { scope: "row", className: "mono", title: id }, element("span", {}, id));
  const made = cells(name, session);
  made.dataset.session = id;
  if (id === current) made.ariaCurrent = "true";
  return made;
}

function cells(name, { requests, input_tokens, output_tokens, cost_usd }) {
  const number = (text, title = "") => element("td", { title }, text);
  return element(
    "tr",
    {},
    name,
    number(whole.format(requests ?? 0)),
    number(
      whole.format((input_tokens ?? 0) + (output_tokens ?? 0)),
      `${whole.format(input_tokens ?? 0)} in, ${whole.format(output_tokens ?? 0)} out`,
    ),
    number(dollars.format(cost_usd ?? 0)),
  );
}
