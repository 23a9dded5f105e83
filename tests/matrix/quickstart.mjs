/**
 * The files that a section of a page tells its reader to write: code blocks after a line that ends in their name in bold.
 * What the reader puts in by themselves is replaced.
 */
export function typed(page, heading, replaced) {
  const section = page.split(/^(?=## )/m).find((part) => part.startsWith(heading));
  const files = {};
  for (const [, name, text] of section.matchAll(/\*\*`([^`]+)`\*\*[^\n]*\n+```\w*\n([\s\S]*?)```/g)) {
    files[name] = Object.entries(replaced).reduce((text, [from, to]) => text.replaceAll(from, to), text);
  }
  return files;
}
