// `node --expose-gc client.mjs URL CONNECTIONS SECONDS`: what `client-cost` (src/main.rs) does, with socket.io-client.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as after } from "node:timers/promises";

const require = createRequire(new URL("../../interop/package.json", import.meta.url));
const { io } = require("socket.io-client-4");

const OPENING = 50;
const QUIET_MS = 2_000;
const WARM_UP_MS = 1_000;
const PATIENCE_MS = 20_000;
const TEXT = "0123456789abcdef".repeat(4);

const [url, ...numbers] = process.argv.slice(2);
const [connections, seconds] = numbers.map(Number);
if (!(connections > 0 && seconds > 0)) {
  console.error("usage: node --expose-gc client.mjs URL CONNECTIONS SECONDS");
  process.exit(2);
}

let echoes = 0;
let isEchoing = false;
let deliveries = 0;
let roundDone = () => {};

const before = resident();
const began = cpuMicros();
const sockets = await openAll();
const connect = cpuMicros() - began;
await after(QUIET_MS);
const idle = resident() - before;
const echo = await measureEcho();
const fanOut = await measureFanOut();
if (sockets.some((socket) => !socket.connected)) throw new Error("a connection was lost");
console.log(
  JSON.stringify({
    bytesPerConnection: Math.round(idle / connections),
    connectMicros: connect / connections,
    echoMicros: echo.micros / echo.count,
    echoes: echo.count,
    fanOutMicros: fanOut.micros / fanOut.count,
    deliveries: fanOut.count,
  }),
);
process.exit(0);

async function openAll() {
  const opened = [];
  let left = connections;
  const openSome = async () => {
    while (left > 0) {
      left -= 1;
      opened.push(await open());
    }
  };
  await Promise.all(Array.from({ length: OPENING }, openSome));
  return opened;
}

function open() {
  const socket = io(url, { transports: ["websocket"], reconnection: false, forceNew: true });
  socket.on("echo", (text) => {
    echoes += 1;
    if (isEchoing) socket.emit("echo", text);
  });
  socket.on("msg", () => {
    deliveries += 1;
    if (deliveries % connections === 0) roundDone();
  });
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

async function measureEcho() {
  isEchoing = true;
  for (const socket of sockets) socket.emit("echo", TEXT);
  await after(WARM_UP_MS);
  const [from, start] = [echoes, cpuMicros()];
  await after(seconds * 1_000);
  const measured = { count: echoes - from, micros: cpuMicros() - start };
  isEchoing = false;
  // The last ones on their way must not count as part of the fan-out: an acknowledgement comes behind them.
  for (const socket of sockets) await socket.timeout(PATIENCE_MS).emitWithAck("ack", TEXT);
  return measured;
}

async function measureFanOut() {
  await publishFor(WARM_UP_MS);
  const [from, start] = [deliveries, cpuMicros()];
  await publishFor(seconds * 1_000);
  return { count: deliveries - from, micros: cpuMicros() - start };
}

async function publishFor(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("a round did not end")), PATIENCE_MS);
      roundDone = () => (clearTimeout(late), resolve());
      sockets[0].emit("pub", TEXT);
    });
  }
}

/** CPU time of this process, user and system, with all its threads. */
function cpuMicros() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Resident bytes, after a full collection so that garbage does not count against the client. */
function resident() {
  globalThis.gc();
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
}
