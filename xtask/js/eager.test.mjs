// What is shipped runs as what is written, and each function of it stands in parentheses.
import assert from "node:assert/strict";
import { test } from "node:test";

import { eager } from "./eager.mjs";

const CASES = {
  "a declaration is known before it, in its own block": `
    export const results = [first(1)];
    function first(x) { return second(x) + inner(); function inner() { return 10; } }
    function second(x) { if (x) { return third(); function third() { return "third"; } } }`,
  "what is exported": `
    /** Twice. */
    export function twice(x) { return 2 * x; }
    export default function named() { return twice(3); }
    export const results = [twice(2), named()];`,
  "first of all": `export function f() { function g() { return 1; } return g(); } export const results = [f(), h()]; function h() { return 2; }`,
  "behind imports": `
    import { sep } from "node:path/posix";
    function of() { return sep; }
    import { delimiter } from "node:path/posix";
    export const results = [of(), delimiter];`,
  "every kind of function": `
    async function later() { return 1; }
    function* some() { yield 1; yield 2; }
    async function* both() { yield await later(); }
    const expression = function (x) { return x; };
    const recursive = function self(n) { return n ? n * self(n - 1) : 1; };
    export const results = [await later(), ...some(), await both().next(), expression(3), recursive(4), await (async () => 5)()];`,
  "every kind of method": `
    const name = "computed";
    const object = {
      at: 1, plain() { return this.at; }, async later() { return 2; }, *some() { yield 3; }, async *both() { yield 4; },
      get read() { return 5; }, set read(value) { this.at = value; }, [name]() { return 6; }, "a key"() { return 7; },
      arrow: () => 8, old: function () { return 9; },
    };
    class Kind { #own = () => 10; static make() { return new Kind(); } own() { return this.#own(); } get read() { return 11; } }
    const { plain, later, some, both, computed, arrow, old } = object;
    object.read = 12;
    export const results = [object.plain(), await later(), ...some(), (await both().next()).value, object.read, computed(),
      object["a key"](), arrow(), old(), Kind.make().own(), Kind.make().read];`,
  "functions in functions' arguments": `
    const wait = (then, given = () => 1) => then(given());
    export const results = [wait((x) => x + 1), wait(function (x) { return x; }), [1, 2].map((x) => (y) => x + y).map((f) => f(1))];`,
};

for (const [name, code] of Object.entries(CASES)) {
  test(`the same happens: ${name}`, async () => {
    const [written, shipped] = [await run(code), await run(eager(code))];
    assert.ok(written.length > 0);
    assert.deepEqual(shipped, written);
  });
}

const PAIRS = [
  ["const f = () => {};", "const f = (() => {});"],
  ["f((x) => { x(); });", "f(((x) => { x(); }));"],
  ["const f = async function () {};", "const f = (async function () {});"],
  ["const o = { a() {}, async b() {}, *c() {} };", "const o = { a: (function () {}), b: (async function () {}), c: (function* () {}) };"],
  // What does, what cannot stand in parentheses, or gains nothing.
  ["(() => {})();", "(() => {})();"],
  ["const f = (x) => x;", "const f = (x) => x;"],
  ["const o = { get a() { return 1; }, [b]() {} };", "const o = { get a() { return 1; }, [b]() {} };"],
  ["class A { a() {} }", "class A { a() {} }"],
  ["const f = async () => {};", "const f = async () => {};"],
];

test("functions stand in parentheses where they can", () => {
  for (const [written, shipped] of PAIRS) assert.equal(eager(written), shipped);
});

test("comments stay with what they are about, and every line of code is kept", () => {
  assert.equal(
    eager("import a from 'a';\nconst b = 1;\n// What it is.\n/** How it is. */\nexport function f() {\n  return a + b;\n}\n").trimEnd(),
    "import a from 'a';\n// What it is.\n/** How it is. */\nexport const f = (function () {\n  return a + b;\n});\nconst b = 1;",
  );
});

const run = async (code) => (await import(`data:text/javascript,${encodeURIComponent(code)}`)).results;
