/** The value of an environment variable that the test task sets. */
export function required(name, what) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: it names ${what}. Run this through \`cargo xtask test\`, which builds it and sets it.`);
  return value;
}
