/** Second implementations of what the client reads, for tests outside of this folder. */
export { createParser } from "eventsource-parser";
export * as jose from "jose";
