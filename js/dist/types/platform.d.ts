/** Node.js, not a browser, a worker of one, or Electron's pages. */
export const isNode: boolean;
