// Where this code runs.

const { process, window } = /** @type {any} */ (globalThis);

/** Node.js, not a browser, a worker of one, or Electron's pages. */
export const isNode = !window && !!process?.versions?.node;
