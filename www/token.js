import { byId } from "./dom.js";

const clock = (ms) => {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
};

const spoken = (ms) => {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 60 ? `${seconds} seconds left` : `${Math.ceil(seconds / 60)} minutes left`;
};

/** Shows what `peek` tells about the gateway token: how long it lives, and for which session. */
export function tokenPanel(peek) {
  const meter = byId("token-meter");
  const fills = [meter.firstElementChild, byId("life-fill")];

  function draw() {
    const token = peek();
    const share = token ? Math.min(1, Math.max(0, token.remainingMs / token.ttlMs)) : 0;
    byId("token-left").textContent = token ? clock(token.remainingMs) : "–";
    byId("token-of").textContent = token ? `left of ${clock(token.ttlMs)}` : "";
    byId("token-session").textContent = token?.sessionId ?? "–";
    byId("token-note").textContent = token
      ? "Kept in memory only, renewed before it ends."
      : "Minted with your first question.";
    meter.ariaValueNow = String(Math.round(share * 100));
    meter.ariaValueText = token ? spoken(token.remainingMs) : "no token";
    for (const fill of fills) {
      fill.style.transform = `scaleX(${share})`;
      fill.classList.toggle("low", share < 0.1);
    }
  }

  setInterval(() => document.hidden || draw(), 1000);
  document.addEventListener("visibilitychange", draw);
  draw();
  return { draw };
}
