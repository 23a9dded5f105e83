/** A request as a scripted server sees it. */
export interface SeenRequest {
  method: string;
  url: string;
  /** Lower-case names. */
  headers: Record<string, string>;
  body: string;
  /** The answer has been read to its end. */
  answered: boolean;
  /** The client gave it up. */
  cancelled: boolean;
}

/** An answer, made by `json`, `stream`, `refused` or `hang`. */
export interface Reply {
  readonly [part: string]: unknown;
}

/** Exactly these bytes in one piece, a pause, silence, or a break. */
export type Piece = string | Uint8Array | { ms: number } | typeof STALL | typeof CUT;

/**
 * A scripted gateway, token function and session, without network. Give `world.fetch` and `world.getAccessToken` to
 * `createClient`. For time, use your test runner's fake timers.
 */
export class World {
  readonly requests: SeenRequest[];
  readonly sessionReads: number;
  readonly mints: number;
  readonly chats: number;
  /** What the servers answer from now on. */
  serve(script: (request: SeenRequest, world: World) => Reply | Promise<Reply>): void;
  /** Gives the user's access token, for `client.sessionChanged`. */
  signedIn(user: string): string;
  signedOut(): void;
  readonly getAccessToken: () => Promise<string | null>;
  readonly fetch: (request: Request) => Promise<Response>;
}

export const STALL: unique symbol;
export const CUT: unique symbol;
export function wait(ms: number): { ms: number };
export function json(status: number, body: unknown, headers?: Record<string, string>): Reply;
export function stream(pieces: Piece[], headers?: Record<string, string>): Reply;
export function refused(message?: string): Reply;
export function hang(): Reply;
export function bundle(token?: string, ttl?: number): Reply;
export function event(data: unknown): string;
export function delta(text: string): string;
export function finish(reason?: string): string;
export function accessToken(user: string, claims?: Record<string, unknown>): string;
export function defaultReply(request: SeenRequest, world: World): Reply;
export function isMint(request: { url: string }): boolean;
