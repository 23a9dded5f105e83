/** What the doctor found: a line for each thing that was looked at. */
export class Report {
  lines = [];

  /** Nothing is wrong. */
  get ok() {
    return this.lines.every(({ ok }) => ok !== false);
  }

  pass(check, detail) {
    this.#add({ check, ok: true, detail });
  }

  /** `detail`: what is wrong; `fix`: what to change. */
  fail(check, detail, fix) {
    this.#add({ check, ok: false, detail, fix });
  }

  /** Nothing can be said about it. */
  skip(check, detail) {
    this.#add({ check, ok: null, detail });
  }

  #add(line) {
    this.lines.push(Object.fromEntries(Object.entries(line).filter(([, value]) => value !== undefined)));
  }

  toString() {
    const word = (ok) => (ok ? "ok   " : ok === false ? "FAIL " : "skip ");
    return this.lines
      .map(({ check, ok, detail, fix }) => {
        const said = detail && (ok === false ? `\n      ${detail}` : ` (${detail})`);
        return `${word(ok)} ${check}${said ?? ""}${fix ? `\n      -> ${fix}` : ""}`;
      })
      .join("\n");
  }
}
