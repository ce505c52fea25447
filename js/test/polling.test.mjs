// Sessions over polling and their upgrade, with a fetch and a WebSocket whose other side is the test.
import { deepStrictEqual as equal, match, ok, strictEqual } from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Engine } from "../src/engine.js";
import { parseUrl } from "../src/url.js";
import { HANDSHAKE, fakeFetch, fakeWebSocket, turn } from "./fakes.mjs";

const SEPARATOR = "\x1e";

/** The sessions of the present test, which end with it. */
const begun = [];
afterEach(async () => {
  for (const { engine, fail } of begun.splice(0)) {
    engine.close();
    fail();
    await turn();
    strictEqual(engine.readyState, "closed");
  }
});

/** A session whose first request waits; what it reports is noted in `events`. */
function begin(options = {}) {
  const net = fakeFetch();
  const WebSocket = fakeWebSocket();
  const engine = new Engine(parseUrl("http://server.test"), { fetch: net.fetch, WebSocket, ...options });
  const events = [];
  for (const event of ["open", "data", "upgrading", "upgrade", "error", "close"]) {
    engine.on(event, (value) => events.push([event, value?.message ?? value?.name ?? value]));
  }
  engine.on("upgradeError", (error) => events.push(["upgradeError", error.description?.message ?? error.description]));
  const all = { ...net, WebSocket, engine, events };
  begun.push(all);
  return all;
}

/** A session that is open, with the GET that waits for packets. */
async function opened(options) {
  const all = begin(options);
  (await all.take("GET")).answer(HANDSHAKE);
  const get = await all.take("GET");
  return { ...all, get };
}

test("polling: handshake, then packets both ways", async () => {
  const { take, engine, events, requests } = begin({ upgrade: false, query: { a: 1 }, extraHeaders: { "x-a": "b" } });
  const first = await take("GET");
  equal(first.url.pathname, "/engine.io/");
  match(first.url.search, /^\?a=1&EIO=4&transport=polling&t=[0-9a-z]+$/);
  equal([first.headers, first.credentials], [{ "x-a": "b" }, "same-origin"]);
  first.answer(HANDSHAKE);
  const get = await take("GET");
  strictEqual(get.url.searchParams.get("sid"), "session");
  get.answer(["4one", "bAQI=", "4two"].join(SEPARATOR));
  await take("GET");
  equal(events, [["open", undefined], ["data", "one"], ["data", Buffer.from([1, 2])], ["data", "two"]]);

  engine.write("a").write("b").write(new Uint8Array([1, 2]));
  const post = await take("POST");
  equal([post.body, post.url.searchParams.get("sid")], ["4a", "session"]);
  await turn();
  equal([requests.length, engine.transport.writable], [0, false], "one POST at a time");
  post.answer("ok");
  strictEqual((await take("POST")).body, ["4b", "bAQI="].join(SEPARATOR));
});

test("polling: a ping is answered, before the next request for packets", async () => {
  const { requests, get } = await opened({ upgrade: false });
  get.answer("2");
  await turn();
  equal(
    requests.map(({ method, body }) => [method, body]),
    [
      ["POST", "3"],
      ["GET", undefined],
    ],
  );
});

test("polling: the answer of a failed request is part of the error", async () => {
  for (const method of ["GET", "POST"]) {
    const { take, get, engine, events } = await opened({ upgrade: false });
    const failed = new Promise((resolve) => engine.once("error", resolve));
    engine.write("a");
    const request = method === "GET" ? get : await take("POST");
    request.answer('{"code":1}', 400);
    const { message, type, description, context } = await failed;
    const name = method === "GET" ? "xhr poll error" : "xhr post error";
    equal(
      { message, type, description, context },
      { message: name, type: "TransportError", description: 400, context: { status: 400, responseText: '{"code":1}' } },
    );
    equal(events.slice(-2), [["error", name], ["close", "transport error"]]);
  }
});

test("polling: a network that fails is the error's description", async () => {
  const { take, engine } = begin();
  const failed = new Promise((resolve) => engine.once("error", resolve));
  const cause = new TypeError("no route");
  (await take("GET")).reject(cause);
  const { message, description, context } = await failed;
  equal([message, description, context], ["xhr poll error", cause, undefined]);
});

test("polling: a request without an answer ends after requestTimeout", async (t) => {
  // Timers of `AbortSignal.timeout` do not keep Node.js alive.
  const alive = setInterval(() => {}, 1_000);
  t.after(() => clearInterval(alive));
  for (const method of ["GET", "POST"]) {
    const net = fakeFetch();
    const signals = [];
    // Requests of the other kind may wait for ever.
    const fetch = (url, init) => {
      if (init.method === method) signals.push(init.signal);
      return net.fetch(url, init.method === method ? init : { ...init, signal: new AbortController().signal });
    };
    const { engine, events } = begin({ fetch, upgrade: false, requestTimeout: 30 });
    const failed = new Promise((resolve) => engine.once("error", resolve));
    if (method === "POST") {
      (await net.take("GET")).answer(HANDSHAKE);
      await net.take("GET");
      engine.write("a");
    }
    await net.take(method);
    const { message, type, description } = await failed;
    const name = method === "GET" ? "xhr poll error" : "xhr post error";
    equal([message, type, description.name], [name, "TransportError", "TimeoutError"]);
    equal([signals.length, signals[0].aborted], [1, true], "the request itself has ended");
    equal(events.slice(-2), [["error", name], ["close", "transport error"]]);
    net.fail();
  }
});

test("polling: without requestTimeout a request waits as long as it takes", async (t) => {
  const timeouts = t.mock.method(AbortSignal, "timeout");
  const { get } = await opened({ upgrade: false });
  equal([timeouts.mock.callCount(), get.signal.aborted], [0, false]);
});

test("polling: what is no packet ends the session", async () => {
  const { get, engine, events } = await opened({ upgrade: false });
  const closed = new Promise((resolve) => engine.once("close", resolve));
  get.answer(`4a${SEPARATOR}x`);
  strictEqual(await closed, "transport error");
  equal(events, [["open", undefined], ["error", "parser error"], ["close", "transport error"]]);
});

test("polling: the server closes", async () => {
  const { get, engine, events, requests } = await opened({ upgrade: false });
  const closed = new Promise((resolve) => engine.once("close", resolve));
  get.answer(["4last", "1", "4never"].join(SEPARATOR));
  strictEqual(await closed, "transport close");
  await turn();
  equal([events.slice(1), requests], [[["data", "last"], ["close", "transport close"]], []]);
});

test("polling: closing sends what waits, tells the server and stops waiting for it", async () => {
  const { take, get, engine, events } = await opened({ upgrade: false });
  engine.write("a");
  engine.close();
  strictEqual(engine.readyState, "closing");
  const post = await take("POST");
  strictEqual(post.body, "4a");
  post.answer("ok");
  const last = await take("POST");
  strictEqual(last.body, "1");
  ok(!get.signal.aborted);
  last.answer("ok");
  await turn();
  ok(get.signal.aborted);
  equal(events, [["open", undefined], ["close", "forced close"]]);
});

test("a body is at most as large as the server takes, but never empty", async () => {
  const { take, engine } = await opened({ upgrade: false });
  const parts = ["first", "x".repeat(40), "y".repeat(40), "漢".repeat(20), new Uint8Array(24), "z".repeat(500), "last"];
  for (const part of parts) engine.write(part);
  const bodies = [];
  while (engine.writeBuffer.length) {
    const post = await take("POST");
    bodies.push(post.body.split(SEPARATOR).length);
    if (bodies.length !== 4) ok(Buffer.byteLength(post.body) <= 100, post.body);
    post.answer("ok");
    await turn();
  }
  // "first" left at once; the largest one is beyond the limit by itself, and the server will say so.
  equal(bodies, [1, 2, 2, 1, 1]);
});

for (const [length, bodies] of [
  [49, [`4${"a".repeat(48)}${SEPARATOR}4${"b".repeat(49)}`]],
  [50, [`4${"a".repeat(48)}`, `4${"b".repeat(50)}`]],
]) {
  test(`with a limit of 100 bytes packets of 49 and ${length + 1} leave in ${bodies.length} bodies`, async () => {
    const { take, engine } = await opened({ upgrade: false });
    engine.write("first").write("a".repeat(48)).write("b".repeat(length));
    (await take("POST")).answer("ok");
    for (const body of bodies) {
      const post = await take("POST");
      strictEqual(post.body, body);
      post.answer("ok");
    }
  });
}

test("a WebSocket takes all at once", async () => {
  const { WebSocket, engine } = begin({ transports: ["websocket"] });
  WebSocket.last.accept({ maxPayload: 10 });
  await turn();
  for (const part of ["a", "b".repeat(50), "c".repeat(50)]) engine.write(part);
  await turn();
  equal(WebSocket.last.take().map((frame) => frame.length), [2, 51, 51]);
});

/** A session whose probe was answered: polling pauses. */
async function upgrading(options) {
  const all = await opened(options);
  const ws = all.WebSocket.last;
  strictEqual(ws.url.searchParams.get("sid"), "session");
  ws.readyState = 1;
  ws.onopen();
  equal(ws.take(), ["2probe"]);
  ws.receive("3probe");
  ok(all.engine.upgrading);
  return { ...all, ws };
}

test("an upgrade waits for the running GET and comes before what waits", async () => {
  const { get, ws, engine, events, requests } = await upgrading();
  engine.write("meanwhile");
  await turn();
  equal([ws.take(), requests, engine.transport.name], [[], [], "polling"], "nothing is sent while it pauses");
  get.answer("4before");
  await turn();
  equal(ws.take(), ["5", "4meanwhile"]);
  equal([engine.transport.name, engine.upgrading, requests], ["websocket", false, []]);
  ws.receive("4after");
  equal(events, [
    ["open", undefined],
    ["upgrading", "websocket"],
    ["data", "before"],
    ["upgrade", "websocket"],
    ["data", "after"],
  ]);
});

test("an upgrade waits for the running POST", async () => {
  const all = await opened();
  all.engine.write("a");
  const post = await all.take("POST");
  const ws = all.WebSocket.last;
  ws.readyState = 1;
  ws.onopen();
  ws.receive("3probe");
  all.get.answer("6");
  await turn();
  equal([all.engine.transport.name, all.requests], ["polling", []]);
  post.answer("ok");
  await turn();
  equal([all.engine.transport.name, ws.take()], ["websocket", ["2probe", "5"]]);
});

for (const [what, fail, description] of [
  ["fails", (ws) => ws.onerror({}), "websocket error"],
  ["is closed", (ws) => ws.drop(), "websocket connection closed"],
  ["answers something else", (ws) => ((ws.readyState = 1), ws.onopen(), ws.receive("4x")), "no answer"],
]) {
  test(`polling goes on when the WebSocket ${what}`, async () => {
    const { WebSocket, get, take, engine, events } = await opened();
    fail(WebSocket.last);
    const [event, reason] = events.at(-1);
    equal([event, reason?.description ?? reason], ["upgradeError", description]);
    ok(WebSocket.last.closed || WebSocket.last.readyState === 3);
    engine.write("a");
    strictEqual((await take("POST")).body, "4a");
    get.answer("4b");
    await take("GET");
    equal([engine.transport.name, engine.readyState, events.at(-1)], ["polling", "open", ["data", "b"]]);
  });
}

test("polling goes on when the WebSocket does not answer in time", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { WebSocket, engine, events } = await opened({ upgradeTimeout: 500 });
  t.mock.timers.tick(499);
  equal(events.length, 1);
  t.mock.timers.tick(1);
  equal(events.at(-1), ["upgradeError", "timeout"]);
  ok(WebSocket.last.closed);
  strictEqual(engine.readyState, "open");
});

test("polling goes on when the WebSocket is lost while it pauses", async () => {
  const { get, ws, take, engine, events, requests } = await upgrading();
  engine.write("meanwhile");
  ws.drop();
  strictEqual(engine.upgrading, false);
  strictEqual((await take("POST")).body, "4meanwhile");
  equal(requests, [], "the GET from before still waits");
  get.answer("4b");
  await take("GET");
  equal(events.at(-1), ["data", "b"]);
});

test("polling begins a GET again if none was left when the WebSocket was lost", async () => {
  const all = await opened();
  all.engine.write("a");
  const post = await all.take("POST");
  const ws = all.WebSocket.last;
  ws.readyState = 1;
  ws.onopen();
  ws.receive("3probe");
  all.get.answer("6");
  await turn();
  ws.drop();
  await all.take("GET");
  post.answer("ok");
  await turn();
  all.engine.write("b");
  strictEqual((await all.take("POST")).body, "4b");
});

test("closing during an upgrade waits for its end", async () => {
  const { get, ws, engine, events } = await upgrading();
  engine.close();
  strictEqual(engine.readyState, "closing");
  get.answer("6");
  await turn();
  equal([engine.readyState, ws.closed, events.at(-1)], ["closed", true, ["close", "forced close"]]);
});

test("in Node.js the cookies of a session come back with its requests", async () => {
  const all = begin({ withCredentials: true, extraHeaders: { "x-a": "b" } });
  const first = await all.take("GET");
  equal([first.headers, first.credentials], [{ "x-a": "b" }, "include"]);
  first.answer(HANDSHAKE, 200, ["node=1; Path=/; HttpOnly", "user=me; Max-Age=60", "=nameless", "broken"]);
  const get = await all.take("GET");
  const headers = { "x-a": "b", cookie: "node=1; user=me" };
  equal([get.headers, all.WebSocket.last.headers], [headers, headers]);
  get.answer("6", 200, ["node=2"]);
  strictEqual((await all.take("GET")).headers.cookie, "node=2; user=me");
});

test("without credentials no cookie is kept", async () => {
  const { take } = begin({ upgrade: false });
  (await take("GET")).answer(HANDSHAKE, 200, ["node=1"]);
  equal((await take("GET")).headers, {});
});

test("the next transport is tried if the application wants that", async () => {
  const { WebSocket, take, engine, events } = begin({ transports: ["websocket", "polling"], tryAllTransports: true });
  WebSocket.last.onerror({});
  (await take("GET")).answer(HANDSHAKE);
  await take("GET");
  equal([engine.transport.name, events], ["polling", [["open", undefined]]]);
});

test("a transport that is closed before the handshake has failed, too", async () => {
  const { WebSocket, take, engine, events } = begin({ transports: ["websocket", "polling"], tryAllTransports: true });
  WebSocket.last.drop();
  const closed = new Promise((resolve) => engine.once("close", resolve));
  (await take("GET")).answer("1");
  await closed;
  equal([engine.transport.name, events], ["polling", [["error", "transport close"], ["close", "transport error"]]]);
});

test("the last transport's failure is the attempt's", async () => {
  const { WebSocket, take, events, engine } = begin({ transports: ["polling", "websocket"], tryAllTransports: true });
  const closed = new Promise((resolve) => engine.once("close", resolve));
  (await take("GET")).answer("", 404);
  while (!WebSocket.last) await turn();
  WebSocket.last.onerror({});
  await closed;
  equal(events, [["error", "websocket error"], ["close", "transport error"]]);
});

test("a remembered WebSocket that fails is not tried twice, polling is", async () => {
  const options = { tryAllTransports: true, rememberUpgrade: true };
  const first = await upgrading(options);
  first.get.answer("6");
  await turn();
  strictEqual(first.engine.transport.name, "websocket");
  const { WebSocket, take, engine } = begin({ ...options, upgrade: false });
  strictEqual(engine.transport.name, "websocket");
  WebSocket.last.onerror({});
  (await take("GET")).answer(HANDSHAKE);
  await take("GET");
  equal([engine.transport.name, WebSocket.opened.length], ["polling", 1]);
});

test("without being told no other transport is tried", async () => {
  const { WebSocket, requests, events } = begin({ transports: ["websocket", "polling"] });
  WebSocket.last.onerror({});
  await turn();
  equal([requests, events], [[], [["error", "websocket error"], ["close", "transport error"]]]);
});
