/** Every block of code of a page: where it stands, its language, the other words after it, and the file it is to be. */
export function blocks(page) {
  const found = [];
  let open;
  let file;
  let heading = "";
  for (const [index, line] of page.split("\n").entries()) {
    if (open) {
      if (line.trim() === "```") {
        found.push(open);
        open = undefined;
        file = undefined;
      } else open.text += `${line}\n`;
      continue;
    }
    const fence = /^\s*```(\S*)\s*(.*)$/.exec(line);
    if (fence) {
      const [lang, ...words] = fence[1].split(",");
      open = { line: index + 1, lang, words: [...words, ...fence[2].split(/\s+/)].filter(Boolean), heading, file, text: "" };
    } else if (/^#+ /.test(line)) heading = line;
    else if (line.trim()) file = /^\*\*`([^`]+)`\*\*/.exec(line)?.[1];
  }
  if (open) throw new Error(`the block of line ${open.line} has no end`);
  return found;
}

/** The commands of a block, continued lines as one. */
export const commands = (text) =>
  text
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.replace(/^\$ /, "").replace(/\s+# .*$/, "").trim())
    .filter(Boolean);

/** What the section of a page tells its reader to do, in its order: commands to type, files to write. */
export const steps = (page, heading) =>
  blocks(page)
    .filter((block) => block.heading.startsWith(heading))
    .flatMap(({ lang, file, text }) => {
      if (file) return [{ file, text }];
      return ["console", "sh"].includes(lang) ? commands(text).map((command) => ({ command })) : [];
    });

/** A text with what its readers put in by themselves. */
export const filled = (text, { supabase, gateway, publishableKey, demoUser }) =>
  Object.entries({
    "https://your-project.supabase.co": supabase,
    "https://your-project.behest.app": gateway,
    "sb_publishable_…": publishableKey,
    "ada@example.com": demoUser?.email,
    "correct horse": demoUser?.password,
  }).reduce((text, [from, to]) => (to === undefined ? text : text.replaceAll(from, to)), text);
