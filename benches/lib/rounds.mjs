/** Interleaved rounds: every subject once in each, so that whatever else the machine does falls on all of them alike. */

/**
 * `sample(name)` measures one subject once. Gives the median of each. The first `warmUps` rounds do not count.
 */
export async function medians(names, rounds, sample, warmUps = 2) {
  const samples = new Map(names.map((name) => [name, []]));
  for (let round = -warmUps; round < rounds; round += 1) {
    // Each round begins with another subject: none always follows the same one.
    for (let index = 0; index < names.length; index += 1) {
      const name = names[(index + round + warmUps) % names.length];
      const measured = await sample(name);
      if (round >= 0) samples.get(name).push(measured);
    }
  }
  return Object.fromEntries([...samples].map(([name, values]) => [name, median(values)]));
}

export function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
