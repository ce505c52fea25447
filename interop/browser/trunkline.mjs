// Our own client in the browser: what the published bundle's cases ask for, and what only a browser shows.
import { deepStrictEqual as equal } from "node:assert/strict";
import { TRANSPORTS, inPage, originScenarios, talk } from "./conversation.mjs";

const PATH = "/trunkline";

const SCENARIOS = [
  ...originScenarios(PATH),
  ...Object.entries(TRANSPORTS).flatMap(([name, transports]) => [
    { name: `blobs/${name}`, run: (world) => blobs(world, transports) },
    { name: `ack-timeout/${name}`, run: (world) => ackTimeout(world, transports) },
    { name: `offline/${name}`, run: (world) => offline(world, transports) },
  ]),
  { name: "esm-bundle", run: esmBundle },
];

export const trunklineScenarios = SCENARIOS.map(({ name, run }) => ({ name: `trunkline/${name}`, run }));

/** The bundle that is imported exports what the other one has as a global, and speaks like it. */
async function esmBundle(world) {
  const address = `${world.origin}/trunkline-esm`;
  const exported = await inPage(world, address, importAll);
  equal(exported, { names: ["Manager", "Socket", "connect", "default", "io", "protocol"], isOne: true, protocol: 5, global: "function" });
  const result = await inPage(world, address, talk, { url: world.url, transports: TRANSPORTS.upgrade });
  equal([result.error, result.transport, result.said], [undefined, "websocket", ["hello"]]);
  equal(result.echo, ["text 😀", [0, 1, 2, 253, 254, 255], { deep: [7, 8, 9] }]);
}

/** Blobs, files, views and buffers go out among text, in order, and come back as buffers. */
async function blobs(world, transports) {
  const result = await inPage(world, world.origin + PATH, exchangeBlobs, { url: world.url, transports });
  equal(result, {
    transport: transports.at(-1),
    types: ["ArrayBuffer", "ArrayBuffer", "ArrayBuffer", "ArrayBuffer"],
    values: [[1, 2, 3], [104, 105], [7, 8], [9]],
    large: { size: 300_000, isSame: true },
    order: ["before", "blob", "after"],
    answered: [[4, 5], "text"],
  });
}

async function ackTimeout(world, transports) {
  const result = await inPage(world, world.origin + PATH, askInTime, { url: world.url, transports });
  equal(result, { answer: "in time", error: "operation has timed out", later: "still here" });
}

/** A page that loses the network knows at once, keeps what is emitted, and sends it when it is back. */
async function offline(world, transports) {
  const page = await world.browser.newPage();
  try {
    await page.goto(world.origin + PATH);
    await page.evaluate(beginOffline, { url: world.url, transports });
    await world.browser.setOffline(true);
    equal(await page.evaluate(() => window.lost), ["transport close", "network connection lost", 1]);
    await world.browser.setOffline(false);
    equal(await page.evaluate(() => window.back), ["kept"]);
  } finally {
    await world.browser.setOffline(false);
    await page.close();
  }
}

/* c8 ignore start: these functions run in the page */
async function exchangeBlobs({ url, transports }) {
  const socket = window.io(url, { transports, withCredentials: true, forceNew: true });
  const once = (event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
  await once("connect");
  const { engine } = socket.io;
  if (transports.length > 1 && engine.transport.name === "polling") {
    await new Promise((resolve) => engine.once("upgrade", resolve));
  }
  const list = (binary) => [...new Uint8Array(binary)];

  const echoed = once("echo");
  const view = new Uint8Array([6, 7, 8, 9]).subarray(1, 3);
  socket.emit("echo", new Blob([new Uint8Array([1, 2, 3])]), new File(["hi"], "hi.txt"), view, new Uint8Array([9]).buffer);
  const received = await echoed;

  const large = Uint8Array.from({ length: 300_000 }, (_, n) => n * 7);
  const [largeBack] = await socket.emitWithAck("echo-ack", [new Blob([large])]);
  const same = new Uint8Array(largeBack);

  const order = [];
  const all = new Promise((resolve) => {
    socket.on("echo", (what) => order.push(typeof what === "string" ? what : "blob") === 3 && resolve());
  });
  socket.emit("echo", "before");
  socket.emit("echo", new Blob([new Uint8Array(50_000)]));
  socket.emit("echo", "after");
  await all;

  const answered = await new Promise((resolve) => {
    socket.emit("echo-ack", new Blob([new Uint8Array([4, 5])]), "text", (...args) => resolve(args));
  });
  const transport = engine.transport.name;
  socket.close();
  return {
    transport,
    types: received.map((value) => value.constructor.name),
    values: received.map(list),
    large: { size: largeBack.byteLength, isSame: large.every((byte, at) => byte === same[at]) },
    order,
    answered: [list(answered[0]), answered[1]],
  };
}

async function importAll() {
  const all = await import("/trunkline.esm.js");
  const isOne = [all.default, all.connect, window.io].every((io) => io === all.io) && all.io.Manager === all.Manager;
  return { names: Object.keys(all).sort(), isOne, protocol: all.protocol, global: typeof window.io };
}

async function askInTime({ url, transports }) {
  const socket = window.io(url, { transports, withCredentials: true, forceNew: true });
  const answer = await socket.timeout(10_000).emitWithAck("echo-ack", "in time");
  const error = await socket.timeout(50).emitWithAck("never", 1).catch(({ message }) => message);
  const later = await socket.emitWithAck("echo-ack", "still here");
  socket.close();
  return { answer, error, later };
}

async function beginOffline({ url, transports }) {
  const socket = window.io(url, {
    transports,
    withCredentials: true,
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 100,
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  window.back = new Promise((resolve) => socket.once("echo", (...args) => resolve(args)));
  window.lost = new Promise((resolve) => {
    socket.once("disconnect", (reason, { description }) => {
      socket.emit("echo", "kept");
      resolve([reason, description, socket.sendBuffer.length]);
    });
  });
}
/* c8 ignore stop */
