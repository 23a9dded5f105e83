/** `publish`, at most once a frame (`soon`) or at once (`now`). */
export function framed(publish) {
  let due = false;
  const now = () => {
    due = false;
    publish();
  };
  return {
    now,
    soon() {
      if (due) return;
      due = true;
      nextFrame(() => due && now());
    },
  };
}

/** A page that nobody sees has no frames. */
function nextFrame(then) {
  if (globalThis.requestAnimationFrame && !globalThis.document?.hidden) requestAnimationFrame(then);
  else setTimeout(then, 16);
}
