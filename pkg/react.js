"use client";
// React over the chat store. The client is made once, outside of components, and handed to <BehestProvider client={…}>.
import { createContext, createElement, useCallback, useContext, useEffect, useState, useSyncExternalStore } from "react";

import { chatStore } from "./chat.js";
import { failure, invalidConfig } from "./lib/error.js";
import { resource } from "./lib/react/resource.js";

const Context = createContext(undefined);

/** Gives the client to the hooks below. */
export const BehestProvider = ({ client, children }) => createElement(Context.Provider, { value: client }, children);

/** The client of the nearest provider. */
export function useBehest(client) {
  const provided = useContext(Context);
  const used = client ?? provided;
  if (!used) throw invalidConfig("there is no client: put <BehestProvider client={createClient(…)}> around this component");
  return used;
}

const useStore = (store) => useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);

/** One conversation. Another client or another `id` is another conversation; another `threadId` is loaded into this one. */
export function useBehestChat(options = {}) {
  const { id, client: given, threadId, messages, ...settings } = options;
  const client = useBehest(given);
  const [held, hold] = useState(() => ({ client, id, chat: chatStore(client, { ...settings, messages, threadId }) }));
  let { chat } = held;
  if (held.client !== client || held.id !== id) {
    chat = chatStore(client, { ...settings, messages, threadId });
    hold({ client, id, chat });
  }
  const [input, setInput] = useState("");
  const state = useStore(chat);

  // The newest callbacks, tools and body: whatever begins from here on uses them.
  useEffect(() => {
    // What is not given any more is not kept from before.
    chat.configure({ ...held.without, ...settings });
    held.without = Object.fromEntries(Object.keys(settings).map((name) => [name, undefined]));
  });
  useEffect(() => {
    if (threadId !== chat.threadId) void chat.setThread(threadId);
  }, [chat, threadId]);
  useEffect(() => () => chat.stop(), [chat]);

  const send = useCallback(
    (content, options) => {
      if (content !== undefined) return chat.send(content, options);
      const text = input;
      if (chat.status !== "submitted" && chat.status !== "streaming") setInput("");
      return chat.send(text, options);
    },
    [chat, input],
  );
  const { stop, regenerate, edit, clear, setMessages } = chat;
  const isLoading = state.loading || state.status === "submitted" || state.status === "streaming";
  return { ...state, isLoading, input, setInput, send, stop, regenerate, edit, clear, setMessages };
}

/** The user's threads, as the gateway stores them. */
export function useBehestThreads({ client: given, autoLoad = true } = {}) {
  const client = useBehest(given);
  const store = useResource(client, "threads", autoLoad, async () => list(await client.threads.list(), "threads"));
  const { data, loading, error } = useStore(store);
  const remove = useCallback(
    async (id) => {
      const place = store.value?.findIndex((thread) => thread.id === id) ?? -1;
      const [removed] = place < 0 ? [] : store.value.slice(place);
      store.set((threads) => threads?.filter((thread) => thread.id !== id));
      try {
        await client.threads.delete(id);
      } catch (thrown) {
        // Only this one comes back, to where it was: the others may have changed meanwhile.
        const restored = (threads) => [...threads.slice(0, place), removed, ...threads.slice(place)];
        store.set((threads) => (removed && threads ? restored(threads) : threads), thrown);
      }
    },
    [client, store],
  );
  const getMessages = useCallback(async (id) => list(await client.threads.messages(id), "messages"), [client]);
  return { threads: data ?? [], loading, error, refresh: store.refresh, getMessages, remove };
}

/** What the user has spent. */
export function useBehestUsage({ client: given, autoLoad = true, ...query } = {}) {
  const client = useBehest(given);
  const { from, to, granularity } = query;
  const key = `usage ${Number(from) || from} ${Number(to) || to} ${granularity}`;
  const store = useResource(client, key, autoLoad, () => client.usage.get({ from, to, granularity }));
  const { data, loading, error } = useStore(store);
  return { usage: data, loading, error, refresh: store.refresh };
}

/** What is loaded for this client and this question. */
function useResource(client, key, autoLoad, load) {
  const make = () => ({ client, key, store: resource(load) });
  const [held, hold] = useState(make);
  let current = held;
  if (held.client !== client || held.key !== key) hold((current = make()));
  const { store } = current;
  useEffect(() => {
    if (autoLoad) void store.refresh();
  }, [store, autoLoad]);
  return store;
}

/** A list of the gateway's, in either shape that it has. */
function list(reply, name) {
  const found = Array.isArray(reply) ? reply : (reply?.[name] ?? reply?.data);
  if (Array.isArray(found)) return found;
  throw failure("invalid_response", `the gateway's ${name} are not a list`);
}
