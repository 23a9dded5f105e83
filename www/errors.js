import { element } from "./dom.js";

const TITLES = {
  retry_after: "That did not work this time",
  re_mint: "The gateway did not accept the token",
  sign_in: "Please sign in again",
  upgrade: "The allowance is spent",
  fix_config: "Something is set up wrongly",
  give_up: "That cannot be answered",
};

/**
 * An error as a person can read it: what happened, what to do, and what to quote when asking for help.
 * `remedies` maps an action of the error to `{ label, run }`, offered as a button.
 */
export function errorCard(error, remedies = {}) {
  const card = element("div", { className: "error-card", role: "alert" });
  const hint = error.hint && !error.message.includes(error.hint) ? error.hint : null;
  card.append(element("p", { className: "error-title" }, TITLES[error.action] ?? "Something went wrong"));
  card.append(element("p", { className: "error-message" }, error.message));
  if (hint) card.append(element("p", { className: "error-hint" }, hint));

  const facts = element("p", { className: "error-facts" });
  const fact = (label, value) => value != null && facts.append(element("span", {}, `${label} `, element("code", {}, `${value}`)));
  fact("reason", error.reason ?? error.code);
  fact("status", error.status);
  fact("trace", error.traceId);
  if (error.retryAfterMs > 0) fact("try again in", `${Math.ceil(error.retryAfterMs / 1000)} s`);
  if (facts.hasChildNodes()) card.append(facts);

  const remedy = remedies[error.action];
  if (remedy) {
    const button = element("button", { type: "button", className: "quiet" }, remedy.label);
    button.addEventListener("click", remedy.run);
    card.append(button);
  }
  return card;
}
