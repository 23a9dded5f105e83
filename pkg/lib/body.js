/** Reads a body, in a way that whoever reads is told at once when it is cancelled. Not every implementation does it. */
export function readerOf(body) {
  if (!body) return EMPTY;
  const reader = body.getReader();
  // Of any realm: what counts is what it can do.
  if (body instanceof ReadableStream) return reader;
  const ours = {
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel?.(reason),
  };
  return new ReadableStream(ours, { highWaterMark: 0 }).getReader();
}

/** The same reader, whose first piece is asked for at once. */
export function readAhead(reader) {
  let first = reader.read();
  first.catch(() => {});
  return {
    read() {
      const piece = first ?? reader.read();
      first = undefined;
      return piece;
    },
    cancel: (reason) => reader.cancel?.(reason),
  };
}

/** The body of a response that has none. */
const EMPTY = { read: async () => ({ done: true }) };
