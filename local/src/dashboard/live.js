// Brings the figures up to date every two seconds while somebody can see them, and copies what is to be copied.
const PAUSE_MS = 2000;

const live = document.getElementById("live");
const state = document.getElementById("state");
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
  if (document.hidden || isInUse()) return;
  try {
    const reply = await fetch(`/dashboard/live?window=${live.dataset.window}`, { signal: AbortSignal.timeout(5000) });
    if (!reply.ok) throw new Error(`answered ${reply.status}`);
    const html = await reply.text();
    if (!isInUse()) live.innerHTML = html;
    lost = false;
    say("Live, every 2 seconds");
  } catch {
    lost = true;
    say("behest-local does not answer; what you see is old");
  }
  document.body.classList.toggle("lost", lost);
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

document.addEventListener("visibilitychange", refresh);
run();
