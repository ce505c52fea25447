// The published JavaScript clients behind one small face: which package, and what its generation calls things.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/**
 * - `open(url, options)`: the package's own way to make a socket.
 * - `protocol`: 4 or 3, the Engine.IO generation, which decides how refusals and heartbeats look.
 * - `recovers`: whether it comes back with its private id and its offset.
 * - `credentials(value)`: the option that carries `value` to the server when connecting.
 */
export function loadClient(name) {
  if (name === "socket.io-client-4-msgpack") {
    const parser = require("socket.io-msgpack-parser");
    return { ...current(require("socket.io-client-4").io), extra: { parser } };
  }
  const module = require(name);
  if (name === "socket.io-client-4") return current(module.io);
  if (name === "socket.io-client-3") return { ...current(module.io), recovers: false };
  return {
    open: module,
    protocol: 3,
    recovers: false,
    refused: "error",
    extra: {},
    credentials: (value) => ({ query: value }),
  };
}

function current(open) {
  return {
    open,
    protocol: 4,
    recovers: true,
    refused: "connect_error",
    extra: {},
    credentials: (value) => ({ auth: value }),
  };
}

/** The class `Socket` of an Engine.IO client package. */
export const loadEngine = (name) => {
  const module = require(name);
  return module.Socket ?? module;
};
