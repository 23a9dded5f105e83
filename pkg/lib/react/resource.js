/** Something that is loaded, and again when asked: of several answers only the newest question's counts. */
export function resource(load) {
  let state = { data: undefined, loading: false, error: null };
  let newest = 0;
  const listeners = new Set();
  const change = (changes) => {
    state = { ...state, ...changes };
    for (const listener of listeners) listener();
  };
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    getSnapshot: () => state,
    get value() {
      return state.data;
    },
    set: (update, error = null) => change({ data: update(state.data), error }),
    async refresh() {
      const mine = ++newest;
      change({ loading: true, error: null });
      const changes = await load().then(
        (data) => ({ data }),
        (error) => ({ error }),
      );
      if (mine === newest) change({ ...changes, loading: false });
    },
  };
}
