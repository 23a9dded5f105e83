/** The page's Markdown: what becomes of it, that it only grows while it is written, and that nothing in it ever runs. */
import assert from "node:assert/strict";
import { before, test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { LIMIT } from "./support/limits.mjs";
import { browser, stack } from "./support/setting.mjs";

let opened;
let page;

before(async () => {
  opened = await openPage(browser);
  page = opened.page;
  await page.goto(stack.page);
  await page.evaluate(async () => {
    const { markdownView } = await import("/markdown/view.js");
    globalThis.place = document.body.appendChild(document.createElement("div"));
    /** What a reader sees of this text when it is whole. */
    globalThis.shown = (text) => {
      place.replaceChildren();
      markdownView(place)(text, false);
      return place;
    };
    /** The same after each character, ending whole. */
    globalThis.written = (text, look) => {
      place.replaceChildren();
      const show = markdownView(place);
      for (let length = 1; length <= text.length; length += 1) {
        show(text.slice(0, length), true);
        look(place, length);
      }
      show(text, false);
      look(place, text.length);
    };
  });
});

const htmlOf = (text) => page.evaluate((text) => shown(text).innerHTML, text);

const REL = 'target="_blank" rel="noopener noreferrer nofollow"';
for (const [text, html] of [
  ["plain\ntext", "<p>plain\ntext</p>"],
  ["one\n\ntwo", "<p>one</p>\n<p>two</p>"],
  ["*a* _b_ **c** __d__ ***e*** ~~f~~", "<p><em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <strong><em>e</em></strong> <del>f</del></p>"],
  ["**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"],
  ["2 * 3 * 4, snake_case_name, a**b", "<p>2 * 3 * 4, snake_case_name, a**b</p>"],
  ["*open and **never closed", "<p>*open and **never closed</p>"],
  ["\\*no\\* \\`code\\`", "<p>*no* `code`</p>"],
  ["`a*b*` ``c`d`` ` `` `", "<p><code>a*b*</code> <code>c`d</code> <code>``</code></p>"],
  ["`never closed", "<p>`never closed</p>"],
  ["# One #\n### Three", '<h3 data-size="1">One</h3>\n<h3 data-size="3">Three</h3>'],
  ["#no heading", "<p>#no heading</p>"],
  ["above\n***\nbelow", "<p>above</p>\n<hr>\n<p>below</p>"],
  ["> said\n> *so*\n> > twice", "<blockquote><p>said\n<em>so</em></p>\n<blockquote><p>twice</p></blockquote></blockquote>"],
  ["- a\n- b\n  - c\n- d", "<ul><li>a</li>\n<li>b\n<ul><li>c</li></ul></li>\n<li>d</li></ul>"],
  ["3. a\n4. b\n\nafter", '<ol start="3"><li>a</li>\n<li>b</li></ol>\n<p>after</p>'],
  ["- a\n\n  b\n- c", "<ul><li><p>a</p>\n<p>b</p></li>\n<li>c</li></ul>"],
  ["1. a\n   ```\n   x\n   ```", '<ol><li>a\n<pre tabindex="0"><code>x</code></pre></li></ol>'],
  ["```js\nlet a = `<b>`;\n\n# no heading\n```\nafter", '<pre tabindex="0" data-language="js"><code>let a = `&lt;b&gt;`;\n\n# no heading</code></pre>\n<p>after</p>'],
  ["~~~\nnever closed", '<pre tabindex="0"><code>never closed</code></pre>'],
  [
    "| a | b |\n|---|--:|\n| `x|y` | 1 |\n| only",
    '<div class="table" tabindex="0" role="region" aria-label="Table"><table><thead><tr><th>a</th> <th class="end">b</th></tr></thead>\n' +
      '<tbody><tr><td><code>x|y</code></td> <td class="end">1</td></tr>\n<tr><td>only</td><td class="end"></td></tr></tbody></table></div>',
  ],
  ["| no table", "<p>| no table</p>"],
  ["[a *b*](https://x.example/p_(q) \"t\")", `<p><a href="https://x.example/p_(q)" ${REL}>a <em>b</em></a></p>`],
  ["see https://x.example/a?b=c&d=_e_.", `<p>see <a href="https://x.example/a?b=c&amp;d=_e" ${REL}>https://x.example/a?b=c&amp;d=_e</a>_.</p>`],
  ["<https://x.example> <mailto:a@b.example>", `<p><a href="https://x.example/" ${REL}>https://x.example</a> <a href="mailto:a@b.example" ${REL}>a@b.example</a></p>`],
  ["![a picture](https://x.example/a.png)", `<p><a href="https://x.example/a.png" ${REL}>a picture</a></p>`],
  ["[relative](/a) [script](javascript:alert(1))", "<p>relative script</p>"],
  ["<b>bold</b> &amp; <script>1</script>", "<p>&lt;b&gt;bold&lt;/b&gt; &amp;amp; &lt;script&gt;1&lt;/script&gt;</p>"],
  ["a\r\nb\tc", "<p>a\nb    c</p>"],
  ["", ""],
  ["\n \n", ""],
]) {
  test(`what becomes of ${JSON.stringify(text)}`, LIMIT, async () => assert.equal(await htmlOf(text), html));
}

const ANSWER = `# A title

A **bold** word, an *em*, \`code\` and ~~struck~~ with [a link](https://x.example/a) and https://x.example.

- first *item*
- second
  1. inner
  2. inner **two**

> quoted
> twice

\`\`\`js
const a = "**not bold**";

// # no title
\`\`\`

| name | value |
|------|------:|
| \`a\` | 1 |
| b | **2** |

---

The end, 2 * 3 = 6.
`;

test("while it is written, what is shown stays: text only grows, and no finished block is made anew", LIMIT, async () => {
  const problems = await page.evaluate((text) => {
    const problems = [];
    let before = "";
    let blocks = [];
    written(text, (place, length) => {
      const now = place.textContent;
      if (!now.startsWith(before)) problems.push([text.slice(0, length).slice(-20), before.slice(-20), now.slice(-20)]);
      const children = [...place.children];
      for (const [index, block] of blocks.slice(0, -1).entries()) if (children[index] !== block) problems.push(`block ${index} anew at ${length}`);
      [before, blocks] = [now, children];
    });
    return problems;
  }, ANSWER);
  assert.deepEqual(problems, []);
  const html = await page.evaluate(() => place.innerHTML);
  assert.equal(html, await htmlOf(ANSWER), "it ends as if it had come at once");
});

const ATTACKS = [
  "<script>attack()</script>",
  "<img src=x onerror=attack()>",
  "<svg onload=attack()>",
  "<svg><script>attack()</script></svg>",
  "<iframe srcdoc='<script>parent.attack()</script>'></iframe>",
  "<a href='javascript:attack()'>x</a>",
  "<math><mtext><table><mglyph><style><!--</style><img src onerror=attack()>",
  "<noscript><p title=\"</noscript><img src=x onerror=attack()>\">",
  "<details open ontoggle=attack()>",
  "<base href=https://evil.example/>",
  "<meta http-equiv=refresh content='0;url=https://evil.example'>",
  "<link rel=stylesheet href=https://evil.example/a.css>",
  "<form action=https://evil.example><button>x",
  "[x](javascript:attack())",
  "[x](JaVaScRiPt:attack())",
  "[x](java\nscript:attack())",
  "[x](&#106;avascript:attack())",
  "[x](\u0001javascript:attack())",
  "[x](%6aavascript:attack())",
  "[x](data:text/html,<script>attack()</script>)",
  "[x](data:text/html;base64,PHNjcmlwdD5hdHRhY2soKTwvc2NyaXB0Pg==)",
  "[x](vbscript:attack())",
  "[x](blob:https://x.example/1)",
  "[x](file:///etc/passwd)",
  "[x](//evil.example)",
  "[x](https://x.example\" onmouseover=\"attack())",
  "[x](<javascript:attack()>)",
  "[x](https://a.example \"t\\\" onclick=attack()\")",
  "[<img src=x onerror=attack()>](https://x.example)",
  "![x](javascript:attack())",
  "![x\" onerror=\"attack()](https://x.example/a.png)",
  "![x](https://evil.example/beacon.png)",
  "<javascript:attack()>",
  "<https://x.example/\"onclick=attack()>",
  "https://x.example/\"onclick=\"attack()",
  "[a](https://x.example/[b](javascript:attack()))",
  "[![x](javascript:attack())](javascript:attack())",
  "```\n</code></pre><script>attack()</script>\n```",
  "```\"><img src=x onerror=attack()>\nx\n```",
  "```__proto__\nx\n```",
  "`<img src=x onerror=attack()>`",
  "| <img src=x onerror=attack()> |\n|---|\n| <script>attack()</script> |",
  "# <img src=x onerror=attack()>",
  "> <img src=x onerror=attack()>",
  "- <img src=x onerror=attack()>",
  "__proto__ **constructor** [toString](https://x.example/__proto__)",
  "\u202Ehttps://x.example",
  "<\0script>attack()</script>",
  "**<img src=x onerror=attack()>**",
  "\\<script>attack()\\</script>",
  "&lt;img src=x onerror=attack()&gt;",
  "&#60;img src=x onerror=attack()&#62;",
  "[x](javascript&colon;attack())",
  "[x](javascript&#x3a;attack())",
  "[x](java\tscript:attack())",
  "[x](java&Tab;script:attack())",
  "[x](\u200bjavascript:attack())",
  "[x](javascript://x.example/%0aattack())",
  "[x](https:javascript:attack())",
  "[x](view-source:https://x.example)",
  "[x](intent://x.example#Intent;end)",
  "[x][y]\n\n[y]: javascript:attack()",
  "[x]: javascript:attack() 'x'\n[x]",
  "[^x]\n\n[^x]: <img src=x onerror=attack()>",
  "<data:text/html,<script>attack()</script>>",
  "<mailto:x@x.example\"onclick=attack()>",
  "mailto:x@x.example?\"onclick=attack()",
  "<!--><img src=x onerror=attack()>-->",
  "<![CDATA[<img src=x onerror=attack()>]]>",
  "<?xml version='1.0'?><script>attack()</script>",
  "<svg><animate href=#x attributeName=href values=javascript:attack() /><a id=x><text>x",
  "<svg><use href='data:image/svg+xml,<svg id=x onload=attack()>#x'>",
  "<svg><foreignObject><iframe src=javascript:attack()>",
  "<object data=javascript:attack()>",
  "<embed src=javascript:attack()>",
  "<input autofocus onfocus=attack()>",
  "<select autofocus onfocus=attack()>",
  "<video><source onerror=attack()>",
  "<audio src=x onerror=attack()>",
  "<body onload=attack()>",
  "<marquee onstart=attack()>",
  "<style>@import 'https://evil.example/a.css';</style>",
  "<div style='background:url(https://evil.example/a.png)'>",
  "<template><script>attack()</script></template>",
  "<textarea></textarea><img src=x onerror=attack()>",
  "<xmp></xmp><img src=x onerror=attack()>",
  "<plaintext><img src=x onerror=attack()>",
  "<button form=x formaction=javascript:attack()>x",
  "<a ping=https://evil.example href=https://x.example>x",
  "<img srcset='https://evil.example/a.png 1x'>",
  "<portal src=https://evil.example>",
  "<a id=attack name=body href=https://x.example>clobbers</a>",
  "<form id=__proto__><input name=constructor>",
  "| a |\n|:-\" onclick=attack() |\n| b |",
  "1\" onclick=\"attack(). x",
  "![a](data:image/svg+xml,<svg onload=attack()>)",
  "[a](https://x.example/\u2028javascript:attack())",
  "[a\u202e](https://x.example/\u202egpj.exe)",
  "[a](https://x.example\\@evil.example\"onclick=attack())",
  "***<img src=x onerror=attack()>*** ~~<svg onload=attack()>~~",
  "- [ ] <img src=x onerror=attack()>\n- [x] [y](javascript:attack())",
  "$$<img src=x onerror=attack()>$$ \\(<script>attack()</script>\\)",
  "```mermaid\ngraph TD; A[<img src=x onerror=attack()>]\n```",
  "```html\n<script>attack()</script>",
];

test("nothing in it ever runs, loads or leads to a script, at any moment of being written", LIMIT, async () => {
  const sent = opened.requests.length;
  const found = await page.evaluate((attacks) => {
    const problems = [];
    globalThis.attack = () => problems.push("it ran");
    document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => problems.push(violatedDirective));
    const names = new Set("p em strong del code pre h3 hr blockquote ul ol li a div table thead tbody tr th td".split(" "));
    const attributes = new Set("href target rel class tabindex role aria-label data-size data-language start".split(" "));
    const look = (place) => {
      for (const element of place.querySelectorAll("*")) {
        if (!names.has(element.localName)) problems.push(element.outerHTML);
        for (const { name } of element.attributes) if (!attributes.has(name)) problems.push(element.outerHTML);
        if (element.localName === "a" && !/^(https?|mailto):/.test(element.href)) problems.push(element.outerHTML);
      }
    };
    for (const text of attacks) written(text, look);
    for (const link of place.querySelectorAll("a")) link.click();
    return problems;
  }, ATTACKS);
  assert.deepEqual(found, []);
  assert.deepEqual(opened.requests.slice(sent).map((request) => request.url()), []);
  assert.deepEqual(opened.complaints, []);
});

test("no text takes much longer than its length: what would be a hang is a page", LIMIT, async () => {
  const patterns = ["*a ", "**a", "_a_ b_", "~~", "`", "``a`", "[", "[a](", "![a](b ", "[a](b \"", "<http://a", "https://)", "> ", "- ", "1. ", "  - ", "| ", "|a|\n|-|\n", "# ", "```\n", "``` `", "\\", " ", "\n", "(", "a_"];
  const lengths = await page.evaluate((patterns) => {
    return patterns.map((pattern) => {
      const text = pattern.repeat(60_000 / pattern.length);
      // Also in one line that is followed by another one, and with an end that does not fit.
      for (const whole of [text, `${text}x`, `[a](${text}`, `| ${text}\n| ${text}`]) shown(whole);
      written(text.slice(0, 200), () => {});
      return shown(text).textContent.length;
    });
  }, patterns);
  assert.equal(lengths.length, patterns.length);
});

test("the page's policy forbids to read text as HTML at all", LIMIT, async () => {
  const thrown = await page.evaluate(() => {
    try {
      document.createElement("div").innerHTML = "<b>x</b>";
      return null;
    } catch (error) {
      return error.name;
    }
  });
  assert.equal(thrown, "TypeError");
  opened.complaints.length = 0;
});
