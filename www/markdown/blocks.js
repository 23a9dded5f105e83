import { element } from "../dom.js";
import { inline } from "./inline.js";

// None of these can divide a text in many ways: an answer may be anything.
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6}) +(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:\s+|$)/;
const ROW = /^ {0,3}\|/;
/** The beginning of something whose kind the next characters tell. */
const UNDECIDED = /^\s*(?:[-*+_]+|\d{1,9}[.)]?|#{1,6}|>|`{1,3}\w*|~{1,3}\w*)\s*$|(?:\*{1,3}|_{1,3}|~{1,2}|`{1,3}|\\|!)$/;
/** Deeper than people nest. What lies deeper is text. */
const DEEPEST = 6;

const isBlank = (line) => line.trim() === "";
const indentOf = (line) => line.length - line.trimStart().length;
const begins = (line) => FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line) || ROW.test(line);

/** Nodes with a line break between them, which shows only where the text is read out or copied. */
const apart = (nodes) => nodes.flatMap((node, index) => (index > 0 ? ["\n", node] : [node]));

/**
 * The blocks of a Markdown text: `{ source, isOpen, render }`, where `render` makes the element. The last block of a text that is
 * still being written (`isOpen`) is shown as what it is going to be, and what is undecided yet is not shown.
 */
export function blocks(text, isOpen = false, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n");
  if (isOpen) lines[lines.length - 1] = decided(lines);
  const found = [];
  const end = lines.findLastIndex((line) => !isBlank(line)) + 1;
  let at = 0;
  while (at < end) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const { end: next, make } = block(lines, at, isOpen, depth);
    const isLast = isOpen && next >= end;
    const own = lines.slice(at, next);
    found.push({ source: own.join("\n"), isOpen: isLast, render: () => make(own, isLast, depth) });
    at = next;
  }
  return found;
}

/** The last line, without the end of it that may still become anything. */
function decided(lines) {
  const line = lines.at(-1);
  if (isInCode(lines)) return /^\s*[`~]+$/.test(line) ? "" : line;
  // Whether it is a table, its second line tells.
  if (ROW.test(line) && !lines.slice(-3, -1).every((row) => ROW.test(row))) return "";
  const undecided = UNDECIDED.exec(line);
  return undecided ? line.slice(0, undecided.index) : line;
}

/** Is the last line one of code that has not ended yet? */
function isInCode(lines) {
  let open;
  for (const line of lines.slice(0, -1)) {
    if (open) open = closes(line, open) ? undefined : open;
    else if (FENCE.test(line)) open = line;
  }
  return open !== undefined;
}

const closes = (line, opening) => {
  const [, fence] = FENCE.exec(opening);
  const text = line.trim();
  return text.length >= fence.length && text.replaceAll(fence[0], "") === "";
};

/** The block that begins here: where it ends, and how it is made. */
function block(lines, at, isOpen, depth) {
  const line = lines[at];
  if (FENCE.test(line)) {
    const close = endOf(lines, at, (other) => !closes(other, line));
    return { end: Math.min(close + 1, lines.length), make: code };
  }
  if (HEADING.test(line)) return { end: at + 1, make: heading };
  if (RULE.test(line)) return { end: at + 1, make: () => element("hr") };
  if (QUOTE.test(line) && depth < DEEPEST) return { end: endOf(lines, at, (other) => QUOTE.test(other)), make: quote };
  if (ITEM.test(line) && depth < DEEPEST) return { end: endOfList(lines, at), make: list };
  const next = lines[at + 1] ?? "";
  if (ROW.test(line) && (isDelimiter(next) || (isOpen && isBlank(next) && at + 2 >= lines.length))) {
    return { end: endOf(lines, at, (other) => ROW.test(other)), make: table };
  }
  return { end: endOf(lines, at, (other) => !isBlank(other) && !begins(other)), make: paragraph };
}

function endOf(lines, at, holds) {
  let end = at + 1;
  while (end < lines.length && holds(lines[end])) end += 1;
  return end;
}

/** The line below the head of a table. */
const isDelimiter = (line) => ROW.test(line) && cells(line).every((cell) => /^:?-+:?$/.test(cell));

const isOrdered = (line) => /\d/.test(ITEM.exec(line)[2]);

function endOfList(lines, at) {
  const indent = indentOf(lines[at]);
  let end = at + 1;
  for (let next = end; next < lines.length; next += 1) {
    const line = lines[next];
    if (isBlank(line)) continue;
    const belongs = indentOf(line) > indent || (ITEM.test(line) && !RULE.test(line) && isOrdered(line) === isOrdered(lines[at]));
    // A line right after another one goes on with it, whatever its indent.
    if (!belongs && (isBlank(lines[next - 1]) || begins(line))) break;
    end = next + 1;
  }
  return end;
}

function code(lines) {
  const [, , language] = FENCE.exec(lines[0]);
  const isClosed = lines.length > 1 && closes(lines.at(-1), lines[0]);
  const text = lines.slice(1, isClosed ? -1 : undefined).join("\n");
  const name = language.trim().split(/\s/)[0];
  const made = element("pre", { tabIndex: 0 }, element("code", {}, text.replace(/\n$/, "")));
  if (name) made.dataset.language = name;
  return made;
}

function heading([line], isOpen) {
  const [, marks, text] = HEADING.exec(line);
  // One level, since an answer stands in no outline; the size says how much it is a title.
  return element("h3", { dataset: { size: marks.length } }, inline(text.trim().replace(/ #+$/, ""), isOpen));
}

const paragraph = (lines, isOpen) => element("p", {}, inline(lines.map((line) => line.trim()).join("\n"), isOpen));

function within(lines, isOpen, depth) {
  const inner = blocks(lines.join("\n"), isOpen, depth + 1);
  return apart(inner.map(({ render }) => render()));
}

const quote = (lines, isOpen, depth) =>
  element("blockquote", {}, within(lines.map((line) => line.replace(QUOTE, "")), isOpen, depth));

function list(lines, isOpen, depth) {
  const indent = indentOf(lines[0]);
  const items = [];
  for (const line of lines) {
    const begun = indentOf(line) <= indent && !RULE.test(line) ? ITEM.exec(line) : null;
    if (begun) items.push({ inner: begun[0].length, lines: [line.slice(begun[0].length)] });
    else items.at(-1).lines.push(line.slice(Math.min(indentOf(line), items.at(-1).inner)));
  }
  const made = items.map((item, index) => {
    const [first, ...rest] = within(item.lines, isOpen && index === items.length - 1, depth);
    // The text of an item is no paragraph, unless there are several.
    const isText = first?.localName === "p" && !rest.some(({ localName }) => localName === "p");
    return element("li", {}, isText ? [...first.childNodes] : (first ?? []), rest);
  });
  const ordered = isOrdered(lines[0]);
  const start = Number.parseInt(ITEM.exec(lines[0])[2], 10);
  return element(ordered ? "ol" : "ul", ordered && start !== 1 ? { start } : {}, apart(made));
}

/** The cells of a row. A bar in code or after a backslash is none of its borders. */
function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return (inner.match(/(?:\\.|`[^`]*`|[^|\\`]|`|\\)+|(?<=^|\|)(?=\||$)/g) ?? []).map((cell) => cell.trim());
}

function table(lines, isOpen) {
  const [head, delimiter, ...body] = lines.map(cells);
  const align = (index) => {
    const marks = delimiter?.[index] ?? "";
    if (!marks.endsWith(":")) return {};
    return { className: marks.startsWith(":") ? "center" : "end" };
  };
  const row = (name) => (texts, at, all) =>
    element(
      "tr",
      {},
      head.flatMap((_, index) => {
        const isLast = isOpen && at === all.length - 1 && index === texts.length - 1;
        return [index > 0 && index < texts.length ? " " : "", element(name, align(index), inline((texts[index] ?? "").replaceAll("\\|", "|"), isLast))];
      }),
    );
  const parts = [element("thead", {}, row("th")(head, 0, body.length ? [] : [head]))];
  if (body.length > 0) parts.push(element("tbody", {}, apart(body.map(row("td")))));
  const made = element("table", {}, apart(parts));
  return element("div", { className: "table", tabIndex: 0, role: "region", ariaLabel: "Table" }, made);
}
