// The parts that need no network: backoff, offline buffer, addresses, heartbeat, packets, emitter.
import { deepStrictEqual as equal, ok, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff.js";
import { OfflineBuffer } from "../src/buffer.js";
import { Emitter } from "../src/emitter.js";
import { Heartbeat } from "../src/heartbeat.js";
import { decodePacket, decodePayload, encodePacket, encodePayload, sizeInPayload } from "../src/packets.js";
import { encodeQuery, parseUrl } from "../src/url.js";
import { settle } from "./fakes.mjs";

const DELAYS = { reconnectionDelay: 1000, reconnectionDelayMax: 5000, randomizationFactor: 0.5 };

test("backoff doubles up to its maximum", () => {
  const backoff = new Backoff({ ...DELAYS, randomizationFactor: 0 });
  equal(
    Array.from({ length: 5 }, () => backoff._duration()),
    [1000, 2000, 4000, 5000, 5000],
  );
  backoff._reset();
  strictEqual(backoff._duration(), 1000);
  strictEqual(backoff._attempts, 1);
});

test("backoff moves each delay by a random part", () => {
  // The sign is that of the tenths: 0.25 has an even one, 0.35 an odd one.
  strictEqual(new Backoff(DELAYS, () => 0.25)._duration(), 875);
  strictEqual(new Backoff(DELAYS, () => 0.35)._duration(), 1175);
  strictEqual(new Backoff(DELAYS, () => 0)._duration(), 1000);
});

test("backoff stays at its maximum after very many attempts", () => {
  const backoff = new Backoff(DELAYS, () => 0.99);
  backoff._attempts = 5000;
  strictEqual(backoff._duration(), 5000);
});

function buffer(options) {
  const dropped = [];
  const made = new OfflineBuffer(options, ({ data }, why) => dropped.push([data[0], why]));
  const push = (name, id, size = 10) => made._push({ type: 2, nsp: "/", data: [name], id }, ["x".repeat(size)]);
  const names = () => made._packets().map(({ data }) => data[0]);
  return { made, push, names, dropped };
}

test("the buffer keeps all, in order, up to its count", () => {
  const { made, push, names, dropped } = buffer({ maxCount: 2 });
  for (const name of ["a", "b", "c"]) push(name);
  equal(names(), ["a", "b"]);
  equal(dropped, [["c", "full"]]);
  equal(
    made._take().map(({ frames }) => frames),
    [["x".repeat(10)], ["x".repeat(10)]],
  );
  equal(names(), []);
});

test("the buffer keeps the last ones", () => {
  const { push, names, dropped } = buffer({ policy: "last", maxCount: 2 });
  for (const name of ["a", "b", "c", "d"]) push(name);
  equal(names(), ["c", "d"]);
  equal(dropped, [
    ["a", "full"],
    ["b", "full"],
  ]);
});

test("the buffer keeps nothing if told so", () => {
  const { push, names, dropped } = buffer("none");
  push("a");
  equal(names(), []);
  equal(dropped, [["a", "full"]]);
});

test("the buffer counts bytes, of attachments too", () => {
  const { made, push, names, dropped } = buffer({ policy: "last", maxBytes: 100 });
  push("a", 1, 60);
  made._push({ type: 2, nsp: "/", data: ["b"] }, ["x".repeat(10), new Uint8Array(30)]);
  equal(names(), ["a", "b"]);
  push("c", 2, 1);
  equal(names(), ["b", "c"]);
  push("huge", 3, 101);
  equal(names(), ["b", "c"], "what can never fit drops nobody else");
  equal(dropped.at(-1), ["huge", "full"]);
});

test("the buffer gives up what is too old", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 0 });
  const { made, push, names, dropped } = buffer({ maxAge: 1000 });
  push("a");
  t.mock.timers.setTime(600);
  push("b");
  t.mock.timers.setTime(1001);
  push("c");
  equal(names(), ["b", "c"]);
  t.mock.timers.setTime(1601);
  equal(
    made._take().map(({ packet }) => packet.data[0]),
    ["c"],
  );
  equal(dropped, [
    ["a", "age"],
    ["b", "age"],
  ]);
});

test("the buffer gives back one packet, and its bytes", () => {
  const { made, push, names } = buffer({ maxBytes: 25 });
  push("a", 1);
  push("b", 2);
  made._remove(1);
  push("c", 3, 15);
  equal(names(), ["b", "c"]);
});

const PAGE = { protocol: "http:", host: "page.test:8080" };
const ADDRESSES = [
  ["https://a.test/chat?x=1&y=a%20b", "https://a.test:443", "/chat", { x: "1", y: "a b" }],
  ["http://a.test", "http://a.test:80", "/", {}],
  ["ws://a.test:3000/", "http://a.test:3000", "/", {}],
  ["wss://a.test", "https://a.test:443", "/", {}],
  ["//a.test/x", "http://a.test:80", "/x", {}],
  ["a.test:99/x", "http://a.test:99", "/x", {}],
  ["/admin", "http://page.test:8080", "/admin", {}],
  [undefined, "http://page.test:8080", "/", {}],
  ["http://[::1]:3000/x", "http://[::1]:3000", "/x", {}],
  ["https://user:word@a.test/x", "https://a.test:443", "/x", {}],
  ["https://a.test/名前?q", "https://a.test:443", "/名前", { q: "" }],
  ["https://a.test?x=1#part", "https://a.test:443", "/", { x: "1" }],
];

for (const [uri, id, namespace, query] of ADDRESSES) {
  test(`understands ${uri}`, () => {
    const address = parseUrl(uri, PAGE);
    equal([address.id, address.namespace, address.query], [id, namespace, query]);
  });
}

test("without a page an address needs a host, and is secure unless it says otherwise", () => {
  throws(() => parseUrl("/admin", undefined), TypeError);
  throws(() => parseUrl(undefined, undefined), TypeError);
  strictEqual(parseUrl("a.test", undefined).secure, true);
});

for (const uri of ["ftp://a.test", "http://", "http://a.test:99999/", "javascript:alert(1)", "http:a.test", "a.test:", "::1", "me@"]) {
  test(`refuses the address ${uri}`, () => throws(() => parseUrl(uri, PAGE), TypeError));
}

test("a query is percent-encoded", () => strictEqual(encodeQuery({ "a b": "c&d", n: 1 }), "a%20b=c%26d&n=1"));

test("a heartbeat that stays away is reported once", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  let lost = 0;
  const beat = new Heartbeat(() => (lost += 1));
  ok(beat._expired(), "before the first word of the server");
  beat._heard(1000);
  t.mock.timers.tick(900);
  beat._heard(1000);
  t.mock.timers.tick(999);
  equal([lost, beat._expired()], [0, false]);
  t.mock.timers.tick(1);
  strictEqual(lost, 1);
  t.mock.timers.tick(10_000);
  strictEqual(lost, 1);
});

test("a heartbeat is found to be missing although its timer is late", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
  let lost = 0;
  const beat = new Heartbeat(() => (lost += 1));
  beat._heard(1000);
  // The clock goes on without running timers, as on a sleeping machine.
  const real = Date.now;
  Date.now = () => 5000;
  ok(beat._expired());
  Date.now = real;
  strictEqual(lost, 0, "not in the middle of the caller's work");
  await settle();
  strictEqual(lost, 1);
  t.mock.timers.tick(5000);
  strictEqual(lost, 1);
});

test("a heartbeat that was stopped is not missed", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  let lost = 0;
  const beat = new Heartbeat(() => (lost += 1));
  beat._heard(1000);
  beat._stop();
  t.mock.timers.tick(5000);
  strictEqual(lost, 0);
});

test("Engine.IO packets go there and back", async () => {
  strictEqual(encodePacket({ type: "ping", data: "probe" }), "2probe");
  strictEqual(encodePacket({ type: "upgrade" }), "5");
  equal(decodePacket("4a b"), { type: "message", data: "a b" });
  equal(decodePacket("6"), { type: "noop", data: "" });
  const bytes = Uint8Array.from({ length: 70_000 }, (_, n) => n);
  const body = await encodePayload([
    { type: "message", data: "ü" },
    { type: "message", data: bytes },
    { type: "message", data: new Blob([bytes.subarray(0, 3)]) },
    { type: "message", data: bytes.subarray(1, 3) },
  ]);
  equal(decodePayload(body), [
    { type: "message", data: "ü" },
    { type: "message", data: Buffer.from(bytes) },
    { type: "message", data: Buffer.from([0, 1, 2]) },
    { type: "message", data: Buffer.from([1, 2]) },
  ]);
});

test("what is no Engine.IO packet is refused", () => {
  for (const text of ["", "7", "x", "bä", "b=", "_"]) throws(() => decodePacket(text), Error, text);
});

test("the size of a packet in a body is at least what it takes", async () => {
  for (const data of ["", "abc", "漢字😀", new Uint8Array(7), new Blob(["12345"])]) {
    const packet = { type: "message", data };
    ok(sizeInPayload(packet) >= Buffer.byteLength(await encodePayload([packet])) + 1);
  }
});

test("listeners come, go, and may go while an event is under way", () => {
  const emitter = new Emitter();
  const heard = [];
  const second = () => heard.push("second");
  emitter.on("e", () => emitter.off("e", second));
  emitter.on("e", second);
  emitter.once("e", (value) => heard.push(value));
  emitter._emit("e", 1);
  equal(heard, ["second", 1]);
  emitter._emit("e", 2);
  equal(heard, ["second", 1]);
  const once = () => heard.push("never");
  emitter.once("e", once);
  emitter.off("e", once);
  strictEqual(emitter.listeners("e").length, 1);
  emitter.removeAllListeners();
  ok(!emitter.hasListeners("e"));
});

test("a name that nobody listens to any more leaves nothing behind", () => {
  const emitter = new Emitter();
  const sets = [];
  const { set } = Map.prototype;
  Map.prototype.set = function (...pair) {
    sets.push(this);
    return set.apply(this, pair);
  };
  try {
    for (let n = 0; n < 10; n += 1) {
      emitter.once(`answer ${n}`, () => {});
      emitter._emit(`answer ${n}`);
      emitter.on(`all ${n}`, () => {});
      emitter.off(`all ${n}`);
    }
  } finally {
    Map.prototype.set = set;
  }
  const [listeners] = sets;
  ok(sets.every((map) => map === listeners));
  strictEqual(listeners.size, 0);
});
