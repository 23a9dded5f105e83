/** The page of `events.test.mjs`: one client, and a call that is begun now and asked about later. */
import { createClient } from "/pkg/index.js";
import { accessToken } from "/pkg/testing.js";

import { call } from "./caller.mjs";

const now = Date.now;
let behest, going, controlled, controller;

const until = async (event, isSo) => {
  if (!isSo()) await new Promise((resolve) => document.addEventListener(event, resolve, { once: true }));
};

globalThis.actor = {
  open(options) {
    behest = createClient({ getAccessToken: () => accessToken("alice"), ...options });
  },
  /** The module, which all clients of a page share. */
  load: async () => void (await createClient({ getAccessToken: () => null, behestUrl: "http://behest.invalid", tokenUrl: "http://behest.invalid" }).warm().catch(() => {})),
  /** Until the worker of this page's folder stands between it and the network. */
  async control() {
    await navigator.serviceWorker.register("worker.js");
    if (!navigator.serviceWorker.controller) await new Promise((done) => navigator.serviceWorker.addEventListener("controllerchange", done, { once: true }));
  },
  release: async () => void (await (await navigator.serviceWorker.getRegistration()).unregister()),
  begin(kind) {
    let read;
    controlled = new Promise((resolve) => (read = resolve));
    controller = new AbortController();
    going = call(behest, kind, read, controller.signal);
  },
  abort: () => controller.abort(),
  /** The first text has been handed out. */
  read: async () => void (await controlled),
  told: async () => JSON.parse(JSON.stringify(await going)),
  warm: async () => void (await behest.warm()),
  /** What was said of the network is so. */
  async network(isThere) {
    const probe = () => fetch("/trust/actor.mjs", { cache: "no-store" }).then(() => true, () => false);
    while ((await probe()) !== isThere);
  },
  visibility: (wanted) => until("visibilitychange", () => document.visibilityState === wanted),
  frozen: () => until("freeze", () => false),
  /** As if the device's clock had been set. */
  clock: (ms) => void (Date.now = () => now() + ms),
};
