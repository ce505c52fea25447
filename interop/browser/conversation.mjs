// A conversation between a page and a server of another origin, the same for every client bundle.
import { deepStrictEqual as equal, match, ok, strictEqual } from "node:assert/strict";

export const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

/** The cases of the bundle that the page at `path` loads: who is served, and who is not. */
export const originScenarios = (path) => [
  ...Object.entries(TRANSPORTS).map(([name, transports]) => ({
    name: `allowed-origin/${name}`,
    run: (world) => allowed(world, path, transports),
  })),
  ...["polling", "websocket"].map((name) => ({
    name: `foreign-origin/${name}`,
    run: (world) => foreign(world, path, TRANSPORTS[name]),
  })),
];

/** Opens the page at `address`, runs `work` in it with the argument, and closes the page. */
export async function inPage(world, address, work, argument) {
  const page = await world.browser.newPage();
  try {
    await page.goto(address);
    return await page.evaluate(work, argument);
  } finally {
    await page.close();
  }
}

async function allowed(world, path, transports) {
  await world.browser.clearCookies();
  await world.browser.addCookies([{ name: "session", value: "abc", url: world.url }]);
  const result = await inPage(world, world.origin + path, talk, { url: world.url, transports });
  equal(result.error, undefined);
  strictEqual(result.transport, transports.at(-1));
  equal(result.echo, ["text 😀", [0, 1, 2, 253, 254, 255], { deep: [7, 8, 9] }]);
  equal(result.where[0], "/");
  match(result.cookie, /(^|; )session=abc(;|$)/);
  equal(result.said, ["hello"]);
}

async function foreign(world, path, transports) {
  const result = await inPage(world, world.foreignOrigin + path, talk, { url: world.url, transports });
  ok(result.error, `a foreign origin was served over ${transports}: ${JSON.stringify(result)}`);
}

/* c8 ignore start: this function runs in the page */
/** A whole conversation in the page; resolves with what happened, or with the error that ended it. */
export async function talk({ url, transports }) {
  const options = { transports, withCredentials: true, reconnection: false, forceNew: true };
  const socket = window.io(url, options);
  const once = (event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
  const failed = once("connect_error").then(([error]) => ({ error: String(error) }));
  const early = await Promise.race([once("connect").then(() => undefined), failed]);
  if (early) return early;
  const { engine } = socket.io;
  const engineId = engine.id;
  if (transports.length > 1 && engine.transport.name === "polling") {
    await new Promise((resolve) => engine.once("upgrade", resolve));
  }
  const echoed = once("echo");
  const heard = once("said");
  const deepBinary = { deep: new Uint8Array([7, 8, 9]).buffer };
  socket.emit("echo", "text 😀", new Uint8Array([0, 1, 2, 253, 254, 255]), deepBinary);
  const list = (binary) => [...new Uint8Array(binary)];
  const [text, bytes, { deep }] = await echoed;
  const where = await new Promise((resolve) => socket.emit("where", (...args) => resolve(args)));
  const cookie = await new Promise((resolve) => socket.emit("cookie", resolve));
  socket.emit("say", "within", [socket.id], [], "hello", () => {});
  const said = await heard;
  const transport = engine.transport.name;
  socket.close();
  const echo = [text, list(bytes), { deep: list(deep) }];
  return { echo, where, cookie, said, transport, engineId, readable: document.cookie };
}
/* c8 ignore stop */
