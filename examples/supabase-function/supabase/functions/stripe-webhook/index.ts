// Stripe proves itself by its signature.
import { BehestError, verifyWebhook } from "behest-client/server";

Deno.serve(async (request) => {
  try {
    const { body } = await verifyWebhook(request, { sender: "stripe", secret: Deno.env.get("STRIPE_WEBHOOK_SECRET") });
    const event = JSON.parse(body);
    return Response.json({ received: event.id });
  } catch (error) {
    if (!(error instanceof BehestError)) throw error;
    return Response.json({ error: error.reason }, { status: error.status ?? 500 });
  }
});
