/** The installed package in this process, and the scripted world that it ships: loaded before a file's tests, removed after them. */
import { after } from "node:test";

import { installPackage } from "./package.mjs";

export const installed = await installPackage();
after(() => installed.remove());
export const { createClient, BehestError, decodeToken, generateSessionId } = await installed.load("node.js");
/** `behest-client/testing`. */
export const lab = await installed.load("testing.js");

export const urls = { supabaseUrl: "https://project.example", behestUrl: "https://gateway.example" };
export const messages = [{ role: "user", content: "Hi!" }];

/** A client in a world of its own, where `gateway` answers whatever is no request for a token. */
export function setUp(gateway, options = {}) {
  const world = new lab.World();
  if (gateway) world.serve((request) => (lab.isMint(request) ? lab.defaultReply(request, world) : gateway(request, world)));
  const { fetch, getAccessToken } = world;
  return { world, behest: createClient({ ...urls, fetch, getAccessToken, ...options }) };
}

export const streamOf = (behest, options) => behest.chat.completions.create({ messages, stream: true }, options);
/** What the world was asked beside tokens. */
export const sent = (world) => world.requests.filter((request) => !lab.isMint(request));
export const fails = (reason) => (error) => error instanceof BehestError && error.reason === reason;

/** Waits for a condition that the event loop brings about. */
export async function until(condition) {
  while (!condition()) await new Promise(setImmediate);
}
