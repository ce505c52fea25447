// A page of one origin talks to a server of another, in headless Chromium with the published client bundle and with ours.
import { deepStrictEqual as equal, ok, strictEqual } from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { startServer } from "../lib/server.mjs";
import { within } from "../lib/tools.mjs";
import { inPage, originScenarios, talk } from "./conversation.mjs";
import { PageServer } from "./page-server.mjs";
import { preflightScenarios } from "./preflight.mjs";
import { trunklineScenarios } from "./trunkline.mjs";

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const CASE_MS = 30_000;
/** Quiet and offline: without these Chromium looks for its maker's hosts at every start. */
export const ARGS =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync";

const SCENARIOS = [
  ...originScenarios("/"),
  { name: "cookie-of-the-server", run: serverCookie },
  ...preflightScenarios,
  ...trunklineScenarios,
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

/** The cookie that the server sets by itself comes back with the next connection, and no script can read it. */
async function serverCookie(world) {
  await world.browser.clearCookies();
  const first = await inPage(world, `${world.origin}/`, talk, { url: world.url, transports: ["polling"] });
  const cookies = await world.browser.cookies(world.url);
  const cookie = cookies.find(({ name }) => name === "io");
  ok(cookie, `no cookie named io among ${JSON.stringify(cookies)}`);
  equal(
    { value: cookie.value, path: cookie.path, httpOnly: cookie.httpOnly, sameSite: cookie.sameSite },
    { value: first.engineId, path: "/", httpOnly: true, sameSite: "Lax" },
  );
  const second = await inPage(world, `${world.origin}/`, talk, { url: world.url, transports: ["polling"] });
  strictEqual(second.cookie, `io=${first.engineId}`);
  strictEqual(second.readable, "");
}
