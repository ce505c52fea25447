// A page of one origin talks to a server of another, in headless Chromium with the published client bundle.
import { deepStrictEqual as equal, match, ok, strictEqual } from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { startServer } from "../lib/server.mjs";
import { within } from "../lib/tools.mjs";
import { PageServer } from "./page-server.mjs";
import { preflightScenarios } from "./preflight.mjs";

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const CASE_MS = 30_000;
/** Quiet and offline: without these Chromium looks for its maker's hosts at every start. */
export const ARGS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync";

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

const SCENARIOS = [
  ...Object.entries(TRANSPORTS).map(([name, transports]) => ({
    name: `allowed-origin/${name}`,
    run: (world) => allowed(world, transports),
  })),
  ...["polling", "websocket"].map((name) => ({
    name: `foreign-origin/${name}`,
    run: (world) => foreign(world, TRANSPORTS[name]),
  })),
  { name: "cookie-of-the-server", run: serverCookie },
  ...preflightScenarios,
];

export const browserCases = () => SCENARIOS.map(({ name }) => `browser/${name}`);

/** Runs the named cases with one browser and one server; both end here, whatever happens. */
export async function runBrowser(names, command, scratch, report) {
  const cases = SCENARIOS.filter(
    ({ name }) => names.includes(`browser/${name}`) && !report.skip(`browser/${name}`),
  );
  if (cases.length === 0) return;
  const world = { endings: [] };
  try {
    await begin(world, command, scratch);
  } catch (error) {
    for (const { name } of cases) report.add(`browser/${name}`, `cannot begin: ${error.stack}`);
    cases.length = 0;
  }
  for (const { name, run } of cases) {
    const began = performance.now();
    const failure = await within(CASE_MS, "the whole case", run(world)).then(
      () => undefined,
      (error) => String(error.stack),
    );
    report.add(`browser/${name}`, failure, performance.now() - began);
  }
  for (const ending of world.endings.reverse()) await ending();
}

async function begin(world, command, scratch) {
  if (!existsSync(CHROMIUM)) throw new Error(`${CHROMIUM} is missing: install Debian's package chromium`);
  const pages = await PageServer.start();
  world.endings.push(() => pages.stop());
  // One and the same server of pages has two names, and so two origins; only the first one is allowed.
  world.origin = `http://127.0.0.1:${pages.port}`;
  world.foreignOrigin = `http://localhost:${pages.port}`;
  const server = await startServer(command, [
    "--cors-origin",
    world.origin,
    "--cors-origin",
    "https://app.test",
  ]);
  world.endings.push(() => server.kill());
  world.port = server.port;
  world.url = `http://127.0.0.1:${server.port}`;
  const profile = join(scratch, "chromium");
  world.browser = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: ARGS.split(" "),
  });
  world.endings.push(() => world.browser.close());
}

/** Opens the page at `origin`, runs `work` in it with the argument, and closes the page. */
async function inPage(world, origin, work, argument) {
  const page = await world.browser.newPage();
  try {
    await page.goto(`${origin}/`);
    return await page.evaluate(work, argument);
  } finally {
    await page.close();
  }
}

async function allowed(world, transports) {
  await world.browser.clearCookies();
  await world.browser.addCookies([{ name: "session", value: "abc", url: world.url }]);
  const result = await inPage(world, world.origin, talk, { url: world.url, transports });
  equal(result.error, undefined);
  strictEqual(result.transport, transports.at(-1));
  equal(result.echo, ["text 😀", [0, 1, 2, 253, 254, 255], { deep: [7, 8, 9] }]);
  equal(result.where[0], "/");
  match(result.cookie, /(^|; )session=abc(;|$)/);
  equal(result.said, ["hello"]);
}

async function foreign(world, transports) {
  const result = await inPage(world, world.foreignOrigin, talk, { url: world.url, transports });
  ok(result.error, `a foreign origin was served over ${transports}: ${JSON.stringify(result)}`);
}

/** The cookie that the server sets by itself comes back with the next connection, and no script can read it. */
async function serverCookie(world) {
  await world.browser.clearCookies();
  const first = await inPage(world, world.origin, talk, { url: world.url, transports: ["polling"] });
  const cookies = await world.browser.cookies(world.url);
  const cookie = cookies.find(({ name }) => name === "io");
  ok(cookie, `no cookie named io among ${JSON.stringify(cookies)}`);
  equal(
    { value: cookie.value, path: cookie.path, httpOnly: cookie.httpOnly, sameSite: cookie.sameSite },
    { value: first.engineId, path: "/", httpOnly: true, sameSite: "Lax" },
  );
  const second = await inPage(world, world.origin, talk, { url: world.url, transports: ["polling"] });
  strictEqual(second.cookie, `io=${first.engineId}`);
  strictEqual(second.readable, "");
}

/* c8 ignore start: this function runs in the page */
/** A whole conversation in the page; resolves with what happened, or with the error that ended it. */
async function talk({ url, transports }) {
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
