// examples/session.rs: a friend request posted over HTTP reaches the user of the cookie, and nobody else.
import { deepStrictEqual as equal, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { unique } from "../lib/tools.mjs";
import { Page, STEP_MS, TRANSPORTS } from "./page.mjs";

const CLIENTS = ["socket.io-client-4", "socket.io-client-2"];
const EVENT = "friend request";

const SCENARIOS = {
  "right-cookie": rightCookie,
  "wrong-cookie": wrongCookie,
  "no-cookie": noCookie,
  "unknown-id": unknownId,
  "disconnected-id": disconnectedId,
};

export const sessionScenarios = CLIENTS.flatMap((client) =>
  Object.entries(TRANSPORTS).flatMap(([transport, transports]) =>
    Object.entries(SCENARIOS).map(([scenario, run]) => ({
      name: `session/${client}/${transport}/${scenario}`,
      program: "session",
      run: (world) => run(world, (cookie) => openPage(world, client, transports, cookie)),
    })),
  ),
);

/** Two users, one of them with two pages: both pages of the one hear it once, the other hears nothing. */
async function rightCookie(world, open) {
  const [annCookie, bobCookie] = [await logIn(world), await logIn(world)];
  notStrictEqual(annCookie, bobCookie);
  const pages = [open(annCookie), open(annCookie), open(bobCookie)];
  const [ann, annToo, bob] = await Promise.all(pages.map((page) => page.connected()));
  strictEqual(await request(world, ann.socket.id, annCookie, "carol"), 204);
  // Whatever went astray or came twice would be heard before the next request.
  strictEqual(await request(world, annToo.socket.id, annCookie, "dave 😀"), 204);
  strictEqual(await request(world, bob.socket.id, bobCookie, "erin"), 204);
  for (const page of [ann, annToo]) {
    equal(await page.heard(), [EVENT, "carol"]);
    equal(await page.heard(), [EVENT, "dave 😀"]);
  }
  equal(await bob.heard(), [EVENT, "erin"]);
}

async function wrongCookie(world, open) {
  const [annCookie, bobCookie] = [await logIn(world), await logIn(world)];
  const [ann, bob] = await Promise.all([open(annCookie).connected(), open(bobCookie).connected()]);
  strictEqual(await request(world, ann.socket.id, bobCookie, "mallory"), 403);
  strictEqual(await request(world, ann.socket.id, "session=guessed", "mallory"), 403);
  strictEqual(await request(world, ann.socket.id, undefined, "mallory"), 401);
  strictEqual(await request(world, ann.socket.id, annCookie, "carol"), 204);
  strictEqual(await request(world, bob.socket.id, bobCookie, "erin"), 204);
  equal(await ann.heard(), [EVENT, "carol"]);
  equal(await bob.heard(), [EVENT, "erin"]);
}

async function noCookie(world, open) {
  strictEqual(await open(undefined).refused(), "log in first");
}

async function unknownId(world, open) {
  const cookie = await logIn(world);
  const page = await open(cookie).connected();
  for (const id of [unique("nobody"), page.socket.id.toLowerCase() + "x", `session:${cookie.split("=")[1]}`]) {
    strictEqual(await request(world, id, cookie, "mallory"), 404, id);
  }
  strictEqual(await request(world, page.socket.id, cookie, "carol"), 204);
  equal(await page.heard(), [EVENT, "carol"]);
}

/** The id of a page that was closed is unknown, also while another page of the same user stays. */
async function disconnectedId(world, open) {
  const cookie = await logIn(world);
  const [gone, stays] = await Promise.all([open(cookie).connected(), open(cookie).connected()]);
  const { id } = gone.socket;
  strictEqual(await request(world, id, cookie, "before"), 204);
  equal(await stays.heard(), [EVENT, "before"]);
  gone.socket.close();
  // The server learns of it a moment later; until then the page counts as connected.
  const deadline = performance.now() + STEP_MS;
  let early = 0;
  let status;
  while ((status = await request(world, id, cookie, "meanwhile")) === 204) {
    early += 1;
    ok(performance.now() < deadline, `the server still knows ${id} after ${STEP_MS} ms`);
  }
  strictEqual(status, 404);
  strictEqual(await request(world, stays.socket.id, cookie, "after"), 204);
  for (; early > 0; early -= 1) equal(await stays.heard(), [EVENT, "meanwhile"]);
  equal(await stays.heard(), [EVENT, "after"]);
}

const openPage = (world, client, transports, cookie) =>
  new Page(world, client, transports, { events: [EVENT], extraHeaders: cookie ? { Cookie: cookie } : {} });

/** A new session, as `name=value`. */
async function logIn(world) {
  const answer = await fetch(`${world.url}/`, { signal: AbortSignal.timeout(STEP_MS) });
  strictEqual(answer.status, 200);
  await answer.text();
  const header = answer.headers.get("set-cookie");
  match(header, /^session=[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/);
  return header.split(";")[0];
}

/** Asks for a friend request from `friend` to the user of the socket `id`; resolves with the status. */
async function request(world, id, cookie, friend) {
  const answer = await fetch(`${world.url}/friend-requests/${encodeURIComponent(id)}`, {
    method: "POST",
    body: friend,
    headers: cookie ? { cookie } : {},
    signal: AbortSignal.timeout(STEP_MS),
  });
  await answer.text();
  return answer.status;
}
