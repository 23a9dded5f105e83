// Has functions compiled with the script that they stand in, not when they are first called.
//
// Chromium compiles a script while it arrives, beside the page's own thread, but for its functions: those it compiles on the
// page's thread when somebody calls them. It takes a function in parentheses for one that is called at once
// (https://v8.dev/blog/preparser#pife), and bundlers keep these parentheses.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(new URL("../../tests/js/package.json", import.meta.url));
const { parse } = require("acorn");
const MagicString = require("magic-string");

/** The same module, each function that is worth it in parentheses. */
export function eager(code) {
  const comments = [];
  const module = parse(code, { ecmaVersion: "latest", sourceType: "module", onComment: comments, preserveParens: true });
  const edited = new MagicString(code);
  const imports = module.body.filter(({ type }) => type === "ImportDeclaration");
  const top = imports.at(-1)?.end ?? 0;

  /** Where a function stands: the statement or the property that it is, and where the block around it begins. */
  function visit(node, parent, block) {
    if (node.type === "FunctionDeclaration" && parent.type !== "ExportDefaultDeclaration") {
      declaration(node, parent.type === "ExportNamedDeclaration" ? parent : node, block);
    } else if (node.type === "Property" && node.method && !node.computed) {
      method(node);
      // Not as an expression of its own.
      return inside(node.value, node.value, block);
    } else if (isExpression(node, parent)) {
      wrap(node);
    }
    inside(node, node, block);
  }

  function inside(node, parent, block) {
    if (node.type === "BlockStatement") block = node.start + 1;
    for (const child of Object.values(node)) {
      for (const one of Array.isArray(child) ? child : [child]) if (typeof one?.type === "string") visit(one, parent, block);
    }
  }

  function wrap(node) {
    edited.appendRight(node.start, "(").appendLeft(node.end, ")");
  }

  /** What is declared is known in its whole block. So must be what takes its place. */
  function declaration(node, statement, block) {
    const start = startWithComments(statement);
    edited.appendRight(start, "\n").appendRight(node.start, `const ${node.id.name} = `).remove(node.id.start, node.id.end);
    wrap(node);
    edited.appendLeft(node.end, ";");
    if (start > block) edited.move(start, statement.end, block);
  }

  function method({ start, key, value }) {
    const kind = `${value.async ? "async " : ""}function${value.generator ? "*" : ""}`;
    edited.overwrite(start, value.start, `${code.slice(key.start, key.end)}: (${kind} `).appendLeft(value.end, ")");
  }

  function startWithComments({ start }) {
    for (const comment of comments.toReversed()) {
      if (comment.end <= start && code.slice(comment.end, start).trim() === "") ({ start } = comment);
    }
    return start;
  }

  inside(module, module, top);
  return edited.toString();
}

/** A function that can stand in parentheses, and gains by it. */
function isExpression(node, parent) {
  if (parent.type === "ParenthesizedExpression") return false;
  // V8 does not heed them around asynchronous arrows, and a single expression is compiled in no time.
  if (node.type === "ArrowFunctionExpression") return !node.async && node.body.type === "BlockStatement";
  const isMember = parent.type === "MethodDefinition" || (parent.type === "Property" && (parent.method || parent.kind !== "init"));
  return node.type === "FunctionExpression" && !isMember;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const file of process.argv.slice(2)) writeFileSync(file, eager(readFileSync(file, "utf8")));
}
