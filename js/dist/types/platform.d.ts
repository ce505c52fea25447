/**
 * Calls `run` after `ms` milliseconds, unless the returned function is called before.
 * @param {number} ms
 * @param {() => void} run
 * @param {boolean} [unref] whether Node.js may end meanwhile
 */
export function later(ms: number, run: () => void, unref?: boolean): () => void;
/**
 * An error of the application must not stop what comes after it here; it is reported as uncaught.
 * @param {() => void} run
 */
export function guard(run: () => void): void;
/** Node.js, not a browser, a worker of one, or Electron's pages. */
export const isNode: any;
