/** For one test: longer than the slowest takes on a busy machine, far shorter than a hang. */
export const LIMIT = { timeout: 120_000 };

/** For the end of one answer, in milliseconds: above the client's own wait for a silent stream, so that it speaks first. */
export const ANSWER_MS = 50_000;
