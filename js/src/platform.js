// Where this code runs.

const { process, window } = /** @type {any} */ (globalThis);

/** Node.js, not a browser, a worker of one, or Electron's pages. */
export const isNode = !window && process?.versions?.node;

/**
 * Calls `run` after `ms` milliseconds, unless the returned function is called before.
 * @param {number} ms
 * @param {() => void} run
 * @param {boolean} [unref] whether Node.js may end meanwhile
 */
export function later(ms, run, unref) {
  // A longer time than a timer can have would be none at all.
  /** @type {any} */
  const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
  if (unref) timer.unref?.();
  return () => clearTimeout(timer);
}

/**
 * An error of the application must not stop what comes after it here; it is reported as uncaught.
 * @param {() => void} run
 */
export function guard(run) {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
