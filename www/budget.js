import { byId } from "./dom.js";

const whole = new Intl.NumberFormat("en");
const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumFractionDigits: 4 });

/** How much of its budget the session on the screen has used, as far as the gateway's usage report tells. */
export function budgetBar() {
  const meter = byId("budget-meter");
  const fill = meter.firstElementChild;
  const note = byId("budget-note");

  return {
    draw(session) {
      const { tokens: most, cost_usd: dearest } = session?.budget ?? {};
      const tokens = (session?.input_tokens ?? 0) + (session?.output_tokens ?? 0);
      const [used, of, text] =
        most != null
          ? [tokens, most, `${whole.format(tokens)} of ${whole.format(most)} tokens`]
          : [session?.cost_usd ?? 0, dearest, `${dollars.format(session?.cost_usd ?? 0)} of ${dollars.format(dearest ?? 0)}`];
      meter.hidden = of == null;
      if (of == null) return void (note.textContent = session ? `${whole.format(tokens)} tokens used, and no budget set.` : "–");
      const share = of > 0 ? Math.min(1, used / of) : 1;
      note.textContent = share < 1 ? text : `${text}: it is spent. Begin a new conversation.`;
      meter.ariaValueNow = String(Math.round(share * 100));
      meter.ariaValueText = text;
      fill.style.transform = `scaleX(${share})`;
      fill.classList.toggle("low", share > 0.8);
    },
  };
}
