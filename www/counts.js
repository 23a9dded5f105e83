import { byId } from "./dom.js";

/** Counts what the client does, so that its token cache can be seen at work. */
export function counters(tokenUrl) {
  const counts = { questions: 0, "session-reads": 0, "token-requests": 0 };

  function add(name, more = 1) {
    counts[name] += more;
    byId(`count-${name}`).textContent = String(counts[name]);
  }

  // What the browser itself has seen on the wire, not what the client says about itself.
  const observer = new PerformanceObserver((list) => {
    const calls = list.getEntries().filter((entry) => entry.name === tokenUrl);
    if (calls.length > 0) add("token-requests", calls.length);
  });
  observer.observe({ type: "resource", buffered: true });

  return {
    add,
    clear() {
      for (const name of Object.keys(counts)) add(name, -counts[name]);
    },
  };
}
