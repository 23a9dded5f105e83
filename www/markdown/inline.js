import { element } from "../dom.js";

/** What can stand inside a line. Everything else is text. */
const TOKEN =
  /\\([!-/:-@[-`{-~])|(`{1,3})|(\*{1,3}|_{1,3}|~~)|!?\[|<((?:https?:\/\/|mailto:)[^\s<>]+)>|\bhttps?:\/\/[^\s<>]*[^\s<>.,;:!?'"*_~`()[\]]/g;

// Spaces are counted, or many of them could be divided in many ways.
const LINK = /!?\[((?:[^[\]\\]|\\.)*)\]\(\s{0,3}<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s{1,3}(?:"[^"]*"|'[^']*'))?\s{0,3}\)/y;
/** A link that is still being written. */
const HALF_LINK = /!?\[((?:[^[\]\\]|\\.)*)(?:\](?:\([^)\n]{0,2000})?)?$/y;

const NAMES = { 1: ["em"], 2: ["strong"], 3: ["strong", "em"] };
/** Deeper than people nest. */
const DEEPEST = 8;

const SAFE = new Set(["http:", "https:", "mailto:"]);

/** Where it leads, if that is a place on the web or a mailbox. */
function target(text) {
  try {
    const { protocol, href } = new URL(text);
    return SAFE.has(protocol) ? href : undefined;
  } catch {
    return undefined;
  }
}

function link(address, content) {
  const href = target(address);
  return href ? [element("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, content)] : content;
}

/** Where the code span that begins with `fence` ends, or -1. `missing` remembers what was looked for in vain. */
function endOfCode(text, fence, from, missing) {
  if (missing.has(fence.length)) return -1;
  for (let at = text.indexOf(fence, from); at >= 0; at = text.indexOf(fence, at)) {
    let end = at;
    while (text[end] === "`") end += 1;
    if (end - at === fence.length) return at;
    at = end;
  }
  missing.add(fence.length);
  return -1;
}

/** Spaces that keep a backtick from the fence. */
const isPadded = (code) => code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
const isSpace = (character) => character === undefined || /\s/.test(character);
const isWord = (character) => character !== undefined && /[\p{L}\p{N}]/u.test(character);

/**
 * The nodes of a text with emphasis, code and links. It is built of elements and text, never read as HTML. `isOpen`: it is still
 * being written, so what has begun will end, and is shown as what it is going to be.
 */
export function inline(text, isOpen = false, depth = 0) {
  const root = { nodes: [] };
  const stack = [root];
  const missing = new Set();

  function add(...added) {
    const { nodes } = stack.at(-1);
    for (const node of added.flat()) {
      if (typeof node === "string" && typeof nodes.at(-1) === "string") nodes.push(nodes.pop() + node);
      else nodes.push(node);
    }
  }

  /** The markers of this frame were only characters. */
  const unmark = ({ marker, nodes }) => add(marker, nodes);
  const close = ({ marker, nodes }) => {
    const names = marker === "~~" ? ["del"] : NAMES[marker.length];
    add(names.reduceRight((content, name) => [element(name, {}, content)], nodes));
  };

  function emphasis(marker, before, after) {
    const within = marker[0] === "_" && isWord(before) && isWord(after);
    const begun = stack.findLastIndex((frame) => frame.marker === marker);
    if (begun > 0 && !isSpace(before) && !within) {
      while (stack.length > begun + 1) unmark(stack.pop());
      return close(stack.pop());
    }
    if (isSpace(after) || within || begun > 0 || stack.length > DEEPEST) return add(marker);
    stack.push({ marker, nodes: [] });
  }

  let at = 0;
  TOKEN.lastIndex = 0;
  for (let found; (found = matchFrom(TOKEN, text, at)); ) {
    const [whole, escaped, fence, marker, address] = found;
    if (found.index > at) add(text.slice(at, found.index));
    at = found.index + whole.length;
    if (escaped) {
      add(escaped);
    } else if (fence) {
      const end = endOfCode(text, fence, at, missing);
      if (end >= 0 || isOpen) {
        const code = text.slice(at, end >= 0 ? end : undefined);
        if (code) add(element("code", {}, isPadded(code) ? code.slice(1, -1) : code));
        at = end >= 0 ? end + fence.length : text.length;
      } else {
        add(fence);
      }
    } else if (marker) {
      emphasis(marker, text[found.index - 1], text[at]);
    } else if (address) {
      add(link(address, [address.replace(/^mailto:/, "")]));
    } else if (whole.endsWith("[")) {
      const complete = depth < DEEPEST ? matchFrom(LINK, text, found.index) : null;
      const half = !complete && isOpen ? matchFrom(HALF_LINK, text, found.index) : null;
      if (complete || half) {
        const label = inline((complete ?? half)[1], isOpen && !complete, depth + 1);
        add(complete ? link(complete[2], withoutLinks(label)) : label);
        at = found.index + (complete ?? half)[0].length;
      } else {
        add(whole);
      }
    } else {
      add(link(whole, [whole]));
    }
  }
  if (at < text.length) add(text.slice(at));
  while (stack.length > 1) (isOpen ? close : unmark)(stack.pop());
  return root.nodes;
}

/** A link holds no link. */
const withoutLinks = (nodes) => nodes.flatMap((node) => (node.localName === "a" ? [...node.childNodes] : [node]));

function matchFrom(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
