/** The element with this id, which the page is known to have. */
export const byId = (id) => document.getElementById(id);

/** A new element with properties, `data-` attributes and children. */
export function element(name, { dataset = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}
