/**
 * A server of raw sockets that plays the answers of `table.mjs`, byte by byte, and counts what it was asked. Each cell has its
 * own paths below `/c/{cell}/`; what our token endpoint asks is told apart by the user, whose id is the cell.
 */
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { gzipSync } from "node:zlib";

import { published } from "../js/server/tokens.mjs";
import { PIECES } from "./table.mjs";

export const SECRETS = { session: "session-secret", token: "gateway-secret" };

const chunk = (content, finish_reason = null) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`;

/** What each hop says when all is well: `[content type, body, what of it comes before it breaks]`. */
function goodOf(hop, kind, cell) {
  const json = (value) => {
    const text = JSON.stringify(value);
    return ["application/json", text, text.slice(0, text.length / 2)];
  };
  const token = `${SECRETS.token}-${cell}`;
  if (hop === "session") return json({ access_token: `${SECRETS.session}-${cell}` });
  if (hop === "function") return json({ token, ttl: 900, sessionId: "s", expiresAt: 4_000_000_000 });
  if (hop === "plan") return json({ plan: "pro" });
  if (hop === "mint") return json({ jwt: token, ttl: 900, session_id: "s" });
  if (kind === "ask") {
    return json({ id: "c", object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content: PIECES.join("") }, finish_reason: "stop" }] });
  }
  const events = PIECES.map((piece) => chunk(piece));
  const end = `${chunk("", "stop")}data: [DONE]\n\n`;
  return ["text/event-stream", events.join("") + end, events.slice(0, 2).join("") + events[2].slice(0, 20)];
}

const BREAK = "\r\n";
const headers = (fields) =>
  Object.entries(fields).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}${BREAK}`).join("");

/** So that pages of any origin may read it: CORS is not what is tried here. */
const cors = (asked) => ({
  "access-control-allow-origin": asked.origin ?? "*",
  "access-control-allow-headers": asked["access-control-request-headers"],
  "access-control-allow-methods": "GET, POST, OPTIONS",
  "access-control-expose-headers": "retry-after, x-trace-id",
});

export async function startFaultServer({ ports = 1 } = {}) {
  /** By cell: `{ hop, kind, answer, requests, bearers, open, seen }`. */
  const cells = new Map();
  const strays = [];
  const servers = [];
  const sockets = new Set();
  for (let n = 0; n < ports; n += 1) {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket)).on("error", () => {});
      serve(socket).catch((error) => {
        strays.push(String(error.stack));
        socket.destroy();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
  }
  const urls = servers.map((server) => `http://127.0.0.1:${server.address().port}`);

  async function serve(socket) {
    const request = await read(socket);
    if (!request) return socket.end();
    const { method, path } = request;
    const [cell, hop] = whose(request);
    const known = cells.get(cell);
    if (method === "OPTIONS") return respond(socket, request, 204);
    if (path.endsWith("/jwks.json")) return respond(socket, request, 200, JSON.stringify(published));
    if (!known || !hop) {
      strays.push(`${method} ${path}`);
      return respond(socket, request, 404);
    }
    if (hop === "seen") {
      known.sawIt();
      return respond(socket, request, 204);
    }
    (known.requests[hop] ??= []).push({ bearer: request.headers.authorization ?? "", body: request.body });
    known.open += 1;
    socket.on("close", () => {
      known.open -= 1;
      known.closed();
    });
    const [type, body] = goodOf(hop, known.kind, cell);
    if (hop !== known.hop) return respond(socket, request, 200, body, type);
    await play(socket, request, known);
  }

  function respond(socket, request, status, body = "", type = "application/json") {
    const length = status === 204 ? undefined : Buffer.byteLength(body);
    const fields = { ...cors(request.headers), "content-type": type, "content-length": length, connection: "close" };
    socket.end(`HTTP/1.1 ${status} X${BREAK}${headers(fields)}${BREAK}${body}`);
  }

  async function play(socket, request, known) {
    const [type, whole, half] = goodOf(known.hop, known.kind, known.cell);
    const body = (what = "good") => {
      if (what.latin1 !== undefined) return Buffer.from(what.latin1, "latin1");
      if (what.text !== undefined) return Buffer.from(what.text.repeat(what.times ?? 1));
      if (what === "half") return Buffer.from(half);
      if (what === "bom") return Buffer.from(`\ufeff${whole}`);
      if (what === "utf16") return Buffer.from(whole, "utf16le");
      if (what === "gzip") return gzipSync(whole);
      if (what === "half gzip") return gzipSync(whole).subarray(0, 15);
      return Buffer.from(whole);
    };
    const framed = (framing, what) => {
      if (framing === "length") return { "content-length": body(what).length };
      if (framing === "longer") return { "content-length": body(what).length + 10 };
      return framing === "chunked" ? { "transfer-encoding": "chunked" } : {};
    };
    let pace = 0;
    const write = async (bytes) => {
      if (!pace) return void socket.write(bytes);
      for (let at = 0; at < bytes.length && !socket.destroyed; at += pace) {
        socket.write(bytes.subarray(at, at + pace));
        await wait(1);
      }
    };
    const gone = new Promise((resolve) => socket.on("close", resolve));
    for (const [step, ...given] of known.answer) {
      if (socket.destroyed) return;
      if (step === "raw") await write(Buffer.from(given[0], "latin1"));
      else if (step === "slowly") [pace] = given;
      else if (step === "head" || step === "head 1.0" || step === "bare head") {
        const [status, fields = {}, framing, what] = given;
        // After "close", Node takes any end of a body for its end. Where it does end, whoever would send the next request over a
        // connection that is just being closed has to know.
        const breaks = (framing === "chunked" && !known.answer.some(([step]) => step === "end")) || framing === "longer";
        const connection = breaks ? undefined : "close";
        const all = { ...cors(request.headers), "content-type": type, connection, ...framed(framing, what), ...fields };
        if (step === "bare head") delete all["content-type"];
        await write(Buffer.from(`HTTP/${step === "head 1.0" ? "1.0" : "1.1"} ${status} X${BREAK}${headers(all)}${BREAK}`));
      } else if (step === "body" || step === "chunk") {
        const [what, size = Infinity] = given;
        const bytes = body(what);
        for (let at = 0; at < bytes.length && !socket.destroyed; at += size) {
          const piece = bytes.subarray(at, Math.min(at + size, bytes.length));
          if (step === "chunk") socket.write(`${piece.length.toString(16)}${BREAK}`);
          await write(piece);
          if (step === "chunk") socket.write(BREAK);
          // A piece of its own on the wire, as far as the network allows.
          if (size < Infinity) await new Promise(setImmediate);
        }
      } else if (step === "end") await write(Buffer.from(`0${BREAK}${BREAK}`));
      else if (step === "drip") {
        while (!socket.destroyed) {
          socket.write(given[0]);
          await Promise.race([gone, wait(given[1])]);
        }
      } else if (step === "seen") {
        // Who reads no text says nothing: what has been sent must only have left.
        if (known.hop === "gateway" && known.kind === "stream") await Promise.race([known.seen, gone]);
        else await Promise.race([gone, wait(30)]);
      } else if (step === "fin") socket.end();
      else if (step === "reset") socket.resetAndDestroy();
      else if (step === "hold") await gone;
      else throw new Error(`there is no step ${step}`);
    }
  }

  return {
    urls,
    strays,
    add(cell, { hop, kind, answer }) {
      let sawIt, closed;
      const known = { cell, hop, kind, answer, requests: {}, open: 0 };
      known.seen = new Promise((resolve) => (sawIt = resolve));
      Object.assign(known, { sawIt, closed: () => closed?.() });
      /** Resolves once no connection of the cell is open. */
      known.quiet = () => new Promise((resolve) => {
        closed = () => known.open === 0 && resolve();
        closed();
      });
      cells.set(cell, known);
      return known;
    },
    get open() {
      return sockets.size;
    },
    stop() {
      for (const server of servers) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The cell and the hop that a request is for. */
function whose({ path, body }) {
  const own = /^\/c\/([^/]+)\/(session|function|seen|v1\/chat\/completions)$/.exec(path);
  if (own) return [own[1], own[2].startsWith("v1") ? "gateway" : own[2]];
  if (path.startsWith("/rest/v1/profiles")) return [decodeURIComponent(/[?&]id=eq\.([^&]+)/.exec(path)?.[1] ?? ""), "plan"];
  if (path.endsWith("/auth/mint")) return [/"user_id":"([^"]+)"/.exec(body)?.[1], "mint"];
  return [];
}

/** One request, whole; undefined if the connection ended before. */
async function read(socket) {
  let bytes = Buffer.alloc(0);
  return new Promise((resolve) => {
    const look = () => {
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [first, ...lines] = bytes.subarray(0, end).toString("latin1").split(BREAK);
      const fields = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
      const body = bytes.subarray(end + 4);
      const length = Number(fields["content-length"] ?? 0);
      const isChunked = /chunked/i.test(fields["transfer-encoding"] ?? "");
      if (isChunked ? !body.toString("latin1").endsWith("0\r\n\r\n") : body.length < length) return;
      const [method, path] = first.split(" ");
      resolve({ method, path, headers: fields, body: body.toString() });
    };
    socket.on("data", (more) => {
      bytes = Buffer.concat([bytes, more]);
      look();
    });
    // The other side has said all it has to say; what is still to be sent decides when this side ends.
    socket.on("end", () => {
      resolve(undefined);
      if (!socket.writableEnded) socket.end();
    });
    socket.on("close", () => resolve(undefined));
  });
}
