// The JavaScript clients, the published ones and ours as it ships, behind one small face: which package, and what its generation calls things.
import { createRequire } from "node:module";
import { io as trunkline } from "../../js/dist/trunkline.esm.min.js";

const require = createRequire(import.meta.url);
// The WebSocket of the published client: the one at the top of node_modules belongs to a very old client.
const { WebSocket } = createRequire(require.resolve("engine.io-client-6"))("ws");

/**
 * - `open(url, options)`: the package's own way to make a socket.
 * - `protocol`: 4 or 3, the Engine.IO generation, which decides how refusals and heartbeats look.
 * - `recovers`: whether it comes back with its private id and its offset.
 * - `credentials(value)`: the option that carries `value` to the server when connecting.
 */
export function loadClient(name) {
  // Node.js 20 has no WebSocket of its own.
  if (name === "trunkline-js") return { ...current(trunkline), extra: { WebSocket } };
  if (name === "trunkline-js-msgpack") {
    return { ...current(trunkline), extra: { WebSocket, parser: require("socket.io-msgpack-parser") } };
  }
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
