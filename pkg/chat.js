// The chat store: one model of a conversation for every framework, and for pages without one.
export { chatStore } from "./lib/chat/store.js";
