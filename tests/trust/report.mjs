/** docs/faults.md: what the matrix holds the clients to, written from the table and the contract that judge the runs. */
import { EVENTS } from "./events.mjs";
import { expected } from "./judge.mjs";
import { cells, FAULTS, HOPS, KINDS, SHAPES, STATUSES } from "./table.mjs";

const TITLES = { session: "the session", function: "the token function", plan: "the plan", mint: "the mint", gateway: "the gateway" };

/** What a caller is told, in few words. */
function words(cell, client) {
  const want = expected(cell, client);
  if (want.any) return "as the host has it";
  const times = typeof cell.fault.answer !== "string" && want.requests > 1 ? `, asked ${want.requests} times` : "";
  if (want.outcome) return `\`${want.outcome}\`${want.kept ? ", text kept" : ""}`;
  return want.reason ? `\`${want.reason}\`${times}` : "works";
}

function row(fault) {
  const at = HOPS.map((hop) => {
    const said = KINDS.filter((kind) => (fault.only?.kind ?? kind) === kind && (fault.only?.hop ?? hop) === hop).map((kind) => words({ fault, hop, kind }, "chromium"));
    return said.length === 0 ? "" : said.every((one) => one === said[0]) ? said[0] : said.join("; streamed: ");
  });
  return `| ${[fault.name, ...at].join(" | ")} |`;
}

const ofStatus = (status) => {
  const fault = FAULTS.find((fault) => fault.status === status && fault.shape);
  return `| ${[status, ...["function", "mint", "gateway"].map((hop) => words({ fault, hop, kind: "ask" }, "chromium"))].join(" | ")} |`;
};

const differences = () =>
  FAULTS.flatMap(({ name, but }) => Object.entries(but ?? {}).map(([client, effect]) => `| ${name} | ${client} | ${effect} |`));

/** What a caller is told when a browser does something to the page. */
function told({ reason, outcome, kept, mints, prompts }) {
  const times = (count, what) => (count === 1 ? "" : `, ${count === 0 ? "no" : count} ${what}${count === 0 ? "" : "s"}`);
  const end = outcome ? `\`${outcome}\`${kept ? ", text kept" : ""}` : reason ? `\`${reason}\`` : "works";
  return `${end}${times(mints, "token request")}${times(prompts, "prompt")}`;
}

const happens = ({ name, want }) => `| ${name} | ${told(want.ask ?? want)} | ${told(want.stream ?? want)} |`;

export function page() {
  const all = cells();
  const one = all.length;
  return `# Faults

What a caller is told when something fails, at each step of the way from the session to the answer. This page is written by
\`cargo xtask check --faults\`, which plays each fault on raw sockets against the packed package and the native client: ${one}
cells in each of Node, Chromium, Firefox and the crate on tokio, ${4 * one} together. A short form of it is part of \`cargo xtask test\`.

Each cell holds that the call settles, with the right reason and action and a full sentence; that the text so far is kept and is what
was handed out; that servers were asked as often as they should be, and the prompt never under another token; that every
connection of the client's is closed; that no error, no property reachable from it and no log line shows a session, token or key.
One retry is allowed in each cell. "The session" is an app's own request; "the plan" and "the mint" are behind our token endpoint.

| fault | ${HOPS.map((hop) => TITLES[hop]).join(" | ")} |
|---|${"---|".repeat(HOPS.length)}
${FAULTS.filter(({ status }) => status === undefined).map(row).join("\n")}

## Refusals

Each status with ${SHAPES.length} kinds of body (${SHAPES.map(({ name }) => name).join(", ")}). A code that says "spent" makes a 429 \`quota_exceeded\`, which is
not tried again; one about personal data makes a 451 \`pii_blocked\`. Redirects are never followed.

| status | the token function | the mint | the gateway |
|---|---|---|---|
${STATUSES.map(ofStatus).join("\n")}

## What browsers do

Each event strikes a call at a known moment, in Chromium (pages are truly hidden and frozen) and, but for sleep, in Firefox. Tokens are
requested, and prompts arrive, once where nothing else is said; afterwards the next call works. "Online again" may be within the
time of a retry: a prompt that may have arrived is not sent again.

| event | a question | streamed |
|---|---|---|
${EVENTS.map(happens).join("\n")}

What the client cannot prevent: on an HTTP/1.1 connection that was used before and breaks before a byte of the answer, Chromium sends a
request again by itself, a prompt too.

## Where hosts differ

| fault | host | there it is |
|---|---|---|
${differences().join("\n")}
`;
}
