/** The element with this id, which the page is known to have. */
export const byId = (id) => document.getElementById(id);

/** A new element with properties, `data-` attributes and children: nodes, texts, or lists of them. Never HTML. */
export function element(name, { dataset = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  Object.assign(made.dataset, dataset);
  for (const child of children.flat()) made.append(child);
  return made;
}

/** A plain button that does something. */
export function button(label, run, properties = {}) {
  const made = element("button", { type: "button", className: "quiet", ...properties }, label);
  made.addEventListener("click", run);
  return made;
}
