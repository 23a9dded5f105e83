/** The callers of the soak, in Node and in pages alike: three users in turn, and one client for all they ask. */
import { random } from "./random.mjs";

const USERS = ["alice", "bob", "carol"];
/** The client's waits, the retries' included, end well before. */
const HANG_MS = 60_000;
const PAUSE_MS = 250;
/** So often is memory looked at. */
const LOOKS = 8;

/** Asks so often with `lab`'s users, `together` at once. `heap` says how much memory is in use. */
export async function soak({ createClient, lab, urls, asks, streams, seed, together, heap }) {
  const memories = watchMemories();
  const chance = random(seed);
  let user = USERS[0];
  const behest = createClient({ ...urls, getAccessToken: () => lab.accessToken(user), timeouts: { tokenMs: 400, firstByteMs: 400, idleMs: 400 } });
  const ends = {};
  const count = (end) => (ends[end] = (ends[end] ?? 0) + 1);
  /** As people do, it waits a moment before it tries again. */
  const fail = ({ reason, action }) => {
    count(reason);
    return action === "retry_after" && new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  };
  const kinds = Array.from({ length: asks + streams }, (_, index) => index < streams);
  for (let index = kinds.length - 1; index > 0; index -= 1) {
    const other = Math.floor(chance() * (index + 1));
    [kinds[index], kinds[other]] = [kinds[other], kinds[index]];
  }

  async function one(isStream) {
    const content = `I am ${user}`;
    try {
      if (!isStream) return count(await behest.ask(content));
      const stream = await behest.chat.completions.create({ messages: [{ role: "user", content }], stream: true });
      for await (const _ of stream) if (chance() < 0.05) break;
      count(stream.outcome);
    } catch (error) {
      await fail(error);
    }
  }

  let hangs = 0;
  const heaps = [];
  const modules = [];
  const every = Math.ceil((asks + streams) / LOOKS);
  async function worker() {
    for (let isStream = kinds.pop(); isStream !== undefined; isStream = kinds.pop()) {
      if (kinds.length % every === 0) {
        heaps.push(heap());
        modules.push(memories());
      }
      if (chance() < 0.02) {
        user = USERS[Math.floor(chance() * USERS.length)];
        behest.sessionChanged(lab.accessToken(user));
      }
      // Worn out as by time, which would take hours.
      if (chance() < 0.02) behest.token.invalidate();
      let timer;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, HANG_MS, "late")));
      if ((await Promise.race([one(isStream), late])) === "late") hangs += 1;
      clearTimeout(timer);
    }
  }
  await Promise.all(Array.from({ length: together }, worker));
  behest.close();
  return { ends, hangs, heaps, modules };
}

/** The memory of all modules that are instantiated from now on, in bytes. */
function watchMemories() {
  const instances = [];
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...given) => {
    const made = await instantiate.apply(WebAssembly, given);
    instances.push(made.instance ?? made);
    return made;
  };
  const memoryOf = ({ exports }) => Object.values(exports).find((value) => value instanceof WebAssembly.Memory);
  return () => instances.reduce((sum, instance) => sum + memoryOf(instance).buffer.byteLength, 0);
}
