// Brings the figures up to date every two seconds while somebody can see them, and copies what is to be copied.
const PAUSE_MS = 2000;

const live = document.getElementById("live");
const state = document.getElementById("state");
/** The one way for HTML into the page: from this server, which has escaped what others wrote. */
const ofServer = globalThis.trustedTypes?.createPolicy("live", { createHTML: (html) => html }) ?? { createHTML: (html) => html };
let lost = false;

function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

/** A button that is about to be pressed, or text that is being copied, must not vanish. */
function isInUse() {
  const selection = getSelection();
  const selects = selection && !selection.isCollapsed && live.contains(selection.anchorNode);
  return live.contains(document.activeElement) || live.matches(":active") || selects;
}

async function refresh() {
  if (document.hidden) return;
  if (isInUse()) return say("Paused while something here has the focus or is selected");
  try {
    const reply = await fetch(`/dashboard/live/${live.dataset.room}${location.search}`, { signal: AbortSignal.timeout(5000) });
    if (!reply.ok) throw new Error(`answered ${reply.status}`);
    const html = await reply.text();
    lost = false;
    if (isInUse()) return;
    live.innerHTML = ofServer.createHTML(html);
    say("Live, every 2 seconds");
  } catch {
    lost = true;
    say("behest-local does not answer; what you see is old");
  } finally {
    document.body.classList.toggle("lost", lost);
  }
}

async function run() {
  for (;;) {
    await refresh();
    await new Promise((resume) => setTimeout(resume, PAUSE_MS));
  }
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  const label = button.firstChild;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    label.data = "Copied";
  } catch {
    label.data = "Copy it by hand";
  }
  setTimeout(() => (label.data = "Copy"), PAUSE_MS);
});

// One request does not change any more: its page has no live room.
if (live.dataset.room) {
  document.addEventListener("visibilitychange", refresh);
  document.addEventListener("focusin", () => isInUse() && say("Paused while something here has the focus or is selected"));
  run();
}

// A notice is told once: the address must not ask for it again.
const address = new URL(location.href);
if (address.searchParams.has("notice")) {
  address.searchParams.delete("notice");
  history.replaceState(null, "", address);
}
