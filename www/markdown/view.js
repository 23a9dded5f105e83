import { blocks } from "./blocks.js";

/**
 * Shows a Markdown text that grows: `show(text, isOpen)` builds anew only the blocks that have changed, which is the last one
 * as a rule, so that nothing above it moves or loses its selection.
 */
export function markdownView(place) {
  let shown = [];

  return function show(text, isOpen) {
    const wanted = blocks(text, isOpen);
    const same = wanted.findIndex(({ source, isOpen }, index) => shown[index]?.source !== source || shown[index].isOpen !== isOpen);
    const keep = same < 0 ? wanted.length : same;
    const next = shown.slice(0, keep);
    for (const { nodes } of shown.slice(keep)) for (const node of nodes) node.remove();
    for (const { source, isOpen, render } of wanted.slice(keep)) {
      // The line break is for those who read the text without its layout.
      const nodes = next.length > 0 ? [document.createTextNode("\n"), render()] : [render()];
      place.append(...nodes);
      next.push({ source, isOpen, nodes });
    }
    shown = next;
  };
}
