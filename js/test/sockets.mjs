// Sockets over a WebSocket whose other side is the test; they end with it.
import { ok, strictEqual } from "node:assert/strict";
import { afterEach } from "node:test";
import { io } from "../src/index.js";
import { fakeWebSocket, settle } from "./fakes.mjs";

/** The sockets of the present test, which end with it. */
export const opened = new Set();
afterEach(async () => {
  const engines = [...opened].map(({ io }) => io.engine);
  for (const socket of opened) {
    socket.io.reconnection(false);
    socket.disconnect();
  }
  opened.clear();
  // What waits is sent first; then no timer is left.
  await settle();
  for (const { readyState } of engines) strictEqual(readyState, "closed");
});

/** A socket whose connection attempts appear in `WebSocket.opened`; every event of it is noted in `events`. */
export function open(options = {}, namespace = "") {
  const WebSocket = fakeWebSocket();
  const socket = io(`http://server.test${namespace}`, {
    WebSocket,
    transports: ["websocket"],
    forceNew: true,
    randomizationFactor: 0,
    ...options,
  });
  opened.add(socket);
  const events = [];
  for (const event of ["connect", "connect_error", "disconnect"]) {
    socket.on(event, (...args) => events.push([event, args[0]?.message ?? args[0]]));
  }
  return { socket, WebSocket, events };
}

/** A socket that is connected; what it sent until then is taken away. */
export function connected(options, namespace) {
  const all = open(options, namespace);
  all.WebSocket.last.accept();
  enter(all, namespace);
  return all;
}

/** The server lets the socket into its namespace. */
export function enter({ WebSocket }, namespace = "", more = "") {
  WebSocket.last.receive(`40${namespace && `${namespace},`}{"sid":"public"${more}}`);
  WebSocket.last.take();
}

/** Two sockets of one connection, both connected. */
export async function twins() {
  const WebSocket = fakeWebSocket();
  const options = { WebSocket, transports: ["websocket"], randomizationFactor: 0 };
  const first = io("http://twins.test/a", { ...options, forceNew: true });
  const second = first.io.socket("/b");
  opened.add(first).add(second);
  WebSocket.last.accept();
  for (const namespace of ["/a", "/b"]) enter({ WebSocket }, namespace);
  ok(first.connected && second.connected);
  await settle();
  WebSocket.last.take();
  return { WebSocket, first, second };
}

export const clock = (t) => t.mock.timers.enable({ apis: ["setTimeout", "Date"] });

/** Runs `work` and returns the messages of the errors that it leaves uncaught. */
export async function uncaught(work) {
  const messages = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", ({ message }) => messages.push(message));
  await work();
  await new Promise((resolve) => setImmediate(resolve));
  process.removeAllListeners("uncaughtException");
  for (const listener of listeners) process.on("uncaughtException", listener);
  return messages;
}
