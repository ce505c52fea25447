// Sockets and managers over a WebSocket whose other side is the test.
import { deepStrictEqual as equal, notStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { Manager, Socket, connect, io, protocol } from "../src/index.js";
import { fakeWebSocket, settle } from "./fakes.mjs";
import { clock, connected, enter, open, opened, uncaught } from "./sockets.mjs";

test("the exports are those of the official client", () => {
  strictEqual(io, connect);
  strictEqual(io.io, io);
  strictEqual(io.connect, io);
  strictEqual(io.Manager, Manager);
  strictEqual(io.Socket, Socket);
  strictEqual(protocol, 5);
});

test("connects to a namespace with credentials", () => {
  const { socket, WebSocket, events } = open({ auth: { token: 1 }, query: { a: "b c" }, path: "/x" }, "/chat");
  const { href } = WebSocket.last.url;
  strictEqual(href, "ws://server.test/x/?a=b%20c&EIO=4&transport=websocket");
  WebSocket.last.accept();
  equal(WebSocket.last.take(), ['40/chat,{"token":1}']);
  equal([socket.connected, socket.id, socket.active], [false, undefined, true]);
  WebSocket.last.receive('40/chat,{"sid":"public"}');
  equal([socket.connected, socket.id, socket.io.engine.id], [true, "public", "session"]);
  equal(events, [["connect", undefined]]);
  strictEqual(socket.io.engine.transport.name, "websocket");
});

test("namespaces share a connection, and it ends with the last", async () => {
  const WebSocket = fakeWebSocket();
  const options = { WebSocket, transports: ["websocket"] };
  const first = io("http://shared.test/a", options);
  const second = io("http://shared.test:80/b", options);
  opened.add(first);
  strictEqual(first.io, second.io);
  notStrictEqual(io("http://shared.test/a", { ...options, autoConnect: false }).io, first.io);
  WebSocket.last.accept();
  await settle();
  equal(WebSocket.last.take(), ["40/a,", "40/b,"]);
  for (const name of ["a", "b"]) WebSocket.last.receive(`40/${name},{"sid":"${name}"}`);
  first.disconnect();
  await settle();
  equal(WebSocket.last.take(), ["41/a,"]);
  ok(!WebSocket.last.closed);
  second.disconnect();
  await settle();
  equal([WebSocket.last.take(), first.active, second.active], [["41/b,"], false, false]);
});

for (const [how, auth] of Object.entries({
  callback: (send) => send({ token: 7 }),
  promise: async () => ({ token: 7 }),
  value: () => ({ token: 7 }),
})) {
  test(`credentials may come from a function, as a ${how}`, async () => {
    const { WebSocket } = open({ auth });
    WebSocket.last.accept();
    await settle();
    equal(WebSocket.last.take(), ['40{"token":7}']);
  });
}

const noToken = () => {
  throw new Error("no token");
};
for (const [how, auth] of Object.entries({ rejected: async () => noToken(), thrown: noToken })) {
  test(`credentials that cannot be had are a refusal, ${how}`, async () => {
    const { socket, WebSocket, events } = open({ auth });
    WebSocket.last.accept();
    await settle();
    equal(events, [["connect_error", "no token"]]);
    strictEqual(socket.active, false);
  });
}

test("credentials that come twice or too late are not sent", (t) => {
  clock(t);
  let send;
  const { WebSocket } = open({ auth: (given) => (send = given) && undefined });
  WebSocket.last.accept();
  const late = send;
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  late({ n: 1 });
  send({ n: 2 });
  send({ n: 3 });
  equal(WebSocket.last.take(), ['40{"n":2}']);
});

test("a refusal carries its data and ends the attempts", (t) => {
  clock(t);
  const { socket, WebSocket } = open();
  let error;
  socket.on("connect_error", (given) => (error = given));
  WebSocket.last.accept();
  WebSocket.last.receive('44{"message":"not you","data":{"code":1}}');
  ok(error instanceof Error);
  equal([error.message, error.data, socket.active], ["not you", { code: 1 }, false]);
  t.mock.timers.tick(60_000);
  strictEqual(WebSocket.opened.length, 1);
});

test("events of the server reach listeners, and are acknowledged once", async () => {
  const { socket, WebSocket } = connected();
  const heard = [];
  socket.onAny((...args) => heard.push(["any", ...args.slice(0, 2)]));
  socket.on("e", (...args) => heard.push(["e", ...args]));
  socket.on("ask", (value, answer) => (answer(value, 2), answer("again")));
  WebSocket.last.receive('42["e",1,"two"]');
  WebSocket.last.receive('425["ask","q"]');
  equal(heard, [
    ["any", "e", 1],
    ["e", 1, "two"],
    ["any", "ask", "q"],
  ]);
  await settle();
  equal(WebSocket.last.take(), ['435["q",2]']);
});

test("events before the connection wait for it", () => {
  const { socket, WebSocket, events } = open();
  socket.on("e", (n) => events.push(["e", n]));
  WebSocket.last.accept();
  WebSocket.last.receive('42["e",1]');
  equal(events, []);
  enter({ WebSocket });
  equal(events, [
    ["e", 1],
    ["connect", undefined],
  ]);
});

test("an answer finds its question", async () => {
  const { socket, WebSocket } = connected();
  const answers = [];
  socket.emit("a", (value) => answers.push(value));
  const promise = socket.emitWithAck("b", 1);
  await settle();
  equal(WebSocket.last.take(), ['420["a"]', '421["b",1]']);
  WebSocket.last.receive('431["for b",2]');
  WebSocket.last.receive('430["for a"]');
  WebSocket.last.receive('430["again"]');
  equal([await promise, answers], ["for b", ["for a"]]);
});

test("an answer that does not come in time is an error", async (t) => {
  clock(t);
  const { socket, WebSocket } = connected({ ackTimeout: 300 });
  const promise = socket.timeout(100).emitWithAck("a");
  let late;
  socket.emit("b", (error) => (late = error));
  await settle();
  t.mock.timers.tick(100);
  await rejects(promise, /^Error: operation has timed out$/);
  strictEqual(late, undefined);
  t.mock.timers.tick(200);
  strictEqual(late.message, "operation has timed out");
  WebSocket.last.receive('430["late"]');
});

test("a loss ends the answers that take errors, and only those", (t) => {
  clock(t);
  const { socket, WebSocket } = connected();
  const ended = [];
  socket.emit("plain", () => ended.push("plain"));
  socket.timeout(60_000).emit("timed", (error) => ended.push(error.message));
  WebSocket.last.drop();
  equal(ended, ["socket has been disconnected"]);
});

test("reserved names are not sent", () => {
  const { socket } = connected();
  for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
    throws(() => socket.emit(name), /reserved event name/);
  }
});

test("binary goes out and comes in as it is", async () => {
  const { socket, WebSocket } = connected();
  const bytes = new Uint8Array([1, 2, 3]);
  const heard = [];
  socket.on("b", (...args) => heard.push(args));
  socket.emit("b", bytes);
  await settle();
  equal(WebSocket.last.take(), ['451-["b",{"_placeholder":true,"num":0}]', bytes]);
  WebSocket.last.receive('451-["b",{"_placeholder":true,"num":0}]');
  WebSocket.last.receive(bytes.buffer);
  equal(heard, [[Buffer.from([1, 2, 3])]]);
});

test("what is emitted offline is sent after the connection, in order", async (t) => {
  clock(t);
  const { socket, WebSocket } = open();
  const outgoing = [];
  socket.onAnyOutgoing((...args) => outgoing.push(args));
  socket.emit("a", 1);
  socket.volatile.emit("lost");
  socket.emit("b");
  strictEqual(socket.sendBuffer.length, 2);
  WebSocket.last.accept();
  await settle();
  WebSocket.last.take();
  WebSocket.last.receive('40{"sid":"public"}');
  await settle();
  equal(WebSocket.last.take(), ['42["a",1]', '42["b"]']);
  equal(outgoing, [["a", 1], ["b"]]);
  WebSocket.last.drop();
  socket.emit("c");
  socket.sendBuffer = [];
  equal(socket.sendBuffer, []);
});

test("the offline buffer obeys its policy and tells what it drops", async () => {
  const dropped = [];
  const offlineBuffer = { policy: "last", maxCount: 1, onDrop: (args, why) => dropped.push([args, why]) };
  const { socket } = open({ offlineBuffer });
  const promise = socket.emitWithAck("a", 1);
  socket.emit("b");
  equal(dropped, [[["a", 1], "full"]]);
  await rejects(promise, /dropped while offline/);
});

test("a timeout takes a waiting event out of the buffer", (t) => {
  clock(t);
  const { socket } = open();
  let error;
  socket.timeout(50).emit("a", (given) => (error = given));
  t.mock.timers.tick(50);
  equal([error.message, socket.sendBuffer], ["operation has timed out", []]);
});

test("volatile events are dropped while the connection is congested", async () => {
  const { socket, WebSocket } = connected();
  WebSocket.last.bufferedAmount = 1_000_000;
  socket.volatile.emit("a");
  WebSocket.last.bufferedAmount = 0;
  socket.volatile.emit("b");
  await settle();
  equal(WebSocket.last.take(), ['42["b"]']);
});

test("reconnects with growing delays and tells of it", (t) => {
  clock(t);
  const { socket, WebSocket, events } = connected({ reconnectionDelay: 100, reconnectionDelayMax: 250 });
  const told = [];
  for (const event of ["reconnect_attempt", "reconnect_error", "reconnect", "reconnect_failed", "close"]) {
    socket.io.on(event, (value) => told.push([event, value?.message ?? value]));
  }
  WebSocket.last.drop();
  ok(socket.active);
  for (const delay of [100, 200]) {
    const before = WebSocket.opened.length;
    t.mock.timers.tick(delay - 1);
    strictEqual(WebSocket.opened.length, before);
    t.mock.timers.tick(1);
    strictEqual(WebSocket.opened.length, before + 1);
    WebSocket.last.onerror({});
  }
  t.mock.timers.tick(250);
  WebSocket.last.accept();
  enter({ WebSocket });
  equal(told, [
    ["close", "transport close"],
    ["reconnect_attempt", 1],
    ["reconnect_error", "websocket error"],
    ["reconnect_attempt", 2],
    ["reconnect_error", "websocket error"],
    ["reconnect_attempt", 3],
    ["reconnect", 3],
  ]);
  equal(
    events.map(([event]) => event),
    ["connect", "disconnect", "connect_error", "connect_error", "connect"],
  );
  WebSocket.last.drop();
  t.mock.timers.tick(100);
  strictEqual(WebSocket.opened.length, 5, "the delays begin anew");
});

test("gives up after the last attempt, and starts again when told", (t) => {
  clock(t);
  const { socket, WebSocket } = open({ reconnectionAttempts: 1, reconnectionDelay: 100 });
  let failed = 0;
  socket.io.on("reconnect_failed", () => (failed += 1));
  WebSocket.last.onerror({});
  t.mock.timers.tick(100);
  WebSocket.last.onerror({});
  t.mock.timers.tick(60_000);
  equal([failed, WebSocket.opened.length], [1, 2]);
  socket.connect();
  strictEqual(WebSocket.opened.length, 3);
});

test("does not come back after either side has ended it", (t) => {
  clock(t);
  const server = connected();
  server.WebSocket.last.receive("41");
  const client = connected();
  client.socket.disconnect();
  t.mock.timers.tick(60_000);
  equal(server.events.at(-1), ["disconnect", "io server disconnect"]);
  equal(client.events.at(-1), ["disconnect", "io client disconnect"]);
  equal([server.WebSocket.opened.length, client.WebSocket.opened.length], [1, 1]);
  server.socket.connect();
  strictEqual(server.WebSocket.opened.length, 2);
});

test("reconnection can be switched off while it waits", (t) => {
  clock(t);
  const { socket, WebSocket } = connected();
  WebSocket.last.drop();
  socket.io.reconnection(false);
  strictEqual(socket.io.reconnection(), false);
  t.mock.timers.tick(60_000);
  strictEqual(WebSocket.opened.length, 1);
});

test("an attempt that takes too long is given up", (t) => {
  clock(t);
  const { WebSocket, events } = open({ timeout: 500, reconnection: false });
  t.mock.timers.tick(500);
  equal(events, [["connect_error", "timeout"]]);
  ok(WebSocket.last.closed);
});

test("a connection that ends before the handshake is a failed attempt", (t) => {
  clock(t);
  const { socket, WebSocket, events } = open({ timeout: false });
  let error;
  socket.on("connect_error", (given) => (error = given));
  WebSocket.last.readyState = 1;
  WebSocket.last.onopen();
  WebSocket.last.drop();
  equal(events, [["connect_error", "transport close"]]);
  equal([error.description, error.context], ["websocket connection closed", { code: 1006 }]);
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  enter({ WebSocket });
  equal([WebSocket.opened.length, socket.connected], [2, true]);
});

test("a page that goes offline ends an attempt, and a connection", (t) => {
  clock(t);
  const page = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener"]) {
    globalThis[name] = page[name].bind(page);
    t.after(() => delete globalThis[name]);
  }
  const { socket, WebSocket, events } = open({ timeout: false });
  page.dispatchEvent(new Event("offline"));
  equal([events, WebSocket.last.closed], [[["connect_error", "transport close"]], true]);
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  enter({ WebSocket });
  equal([WebSocket.opened.length, socket.connected], [2, true]);
  page.dispatchEvent(new Event("offline"));
  equal(events.at(-1), ["disconnect", "transport close"]);
  t.mock.timers.tick(1000);
  strictEqual(WebSocket.opened.length, 3);
});

test("a silent server is lost, pings are answered", async (t) => {
  clock(t);
  const { socket, WebSocket, events } = connected({ reconnection: false });
  let pings = 0;
  socket.io.on("ping", () => (pings += 1));
  t.mock.timers.tick(44_000);
  WebSocket.last.receive("2");
  await settle();
  equal([WebSocket.last.take(), pings], [["3"], 1]);
  t.mock.timers.tick(44_000);
  ok(socket.connected);
  t.mock.timers.tick(1_000);
  equal(events.at(-1), ["disconnect", "ping timeout"]);
});

test("after a sleep events wait for the next connection", async (t) => {
  clock(t);
  const { socket, WebSocket, events } = connected();
  const { now } = Date;
  Date.now = () => now() + 60_000;
  socket.emit("a");
  Date.now = now;
  equal([WebSocket.last.take(), socket.sendBuffer.length], [[], 1]);
  await settle();
  equal(events.at(-1), ["disconnect", "ping timeout"]);
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  WebSocket.last.take();
  WebSocket.last.receive('40{"sid":"next"}');
  await settle();
  equal(WebSocket.last.take(), ['42["a"]']);
});

for (const [what, frame] of Object.entries({
  "a broken packet": '42["a"',
  "a reserved name": '42["connect"]',
  "a stray attachment": new ArrayBuffer(1),
  "too many attachments": '4599-["a"]',
})) {
  test(`${what} ends the connection`, async () => {
    const { WebSocket, events } = connected({ reconnection: false });
    WebSocket.last.receive(frame);
    equal(events.at(-1), ["disconnect", "parse error"]);
    await settle();
    ok(WebSocket.last.closed);
  });
}

for (const [what, frame] of Object.entries({
  "no Engine.IO packet": "x",
  "a second handshake": '0{"sid":"b","upgrades":[],"pingInterval":1,"pingTimeout":1}',
})) {
  test(`${what} ends the connection`, () => {
    const { WebSocket, events } = connected({ reconnection: false });
    WebSocket.last.receive(frame);
    equal(events.at(-1), ["disconnect", "transport error"]);
  });
}

test("a handshake that is none is an error", () => {
  for (const handshake of ["0", "0null", "0{}", '0{"sid":1,"upgrades":[],"pingInterval":1,"pingTimeout":1}']) {
    const { WebSocket, events } = open({ reconnection: false });
    WebSocket.last.readyState = 1;
    WebSocket.last.onopen();
    WebSocket.last.receive(handshake);
    equal(events, [["connect_error", "server error"]]);
  }
});

test("a listener that throws stops nothing", async () => {
  const { socket, WebSocket } = connected();
  const heard = [];
  socket.on("e", (n) => {
    heard.push(n);
    if (n === 1) throw new Error("of the listener");
  });
  socket.on("e", (n) => heard.push(`second ${n}`));
  const errors = await uncaught(() => {
    WebSocket.last.receive('42["e",1]');
    WebSocket.last.receive('42["e",2]');
  });
  equal([heard, errors, socket.connected], [[1, "second 1", 2, "second 2"], ["of the listener"], true]);
});

test("a listener that throws stops no events that came early, no waiting ones, and no connect", async () => {
  const all = open({ retries: 1 });
  const { socket, WebSocket, events } = all;
  socket.on("e", (n) => {
    events.push(["e", n]);
    throw new Error(`in ${n}`);
  });
  socket.onAnyOutgoing((event) => {
    throw new Error(`out ${event}`);
  });
  socket.volatile.emit("lost");
  socket.emit("kept", true);
  WebSocket.last.accept();
  for (const n of [1, 2]) WebSocket.last.receive(`42["e",${n}]`);
  WebSocket.last.take();
  const errors = await uncaught(() => WebSocket.last.receive('40{"sid":"public"}'));
  equal(errors, ["in 1", "in 2", "out kept"]);
  equal(events, [["e", 1], ["e", 2], ["connect", undefined]]);
  equal(WebSocket.last.take(), ['420["kept",true]']);
});

test("a disconnect listener that throws does not stop the reconnection", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const { socket, WebSocket } = connected();
  socket.on("disconnect", () => {
    throw new Error("of the listener");
  });
  const errors = await uncaught(() => WebSocket.last.drop());
  t.mock.timers.tick(1000);
  equal([errors, WebSocket.opened.length], [["of the listener"], 2]);
});

test("recovery: asks for what was missed and knows the same session", (t) => {
  clock(t);
  const { socket, WebSocket } = open({ auth: { token: 1 } });
  WebSocket.last.accept();
  enter({ WebSocket }, "", ',"pid":"secret"');
  strictEqual(socket.recovered, false);
  WebSocket.last.receive('42["e",1,"offset-1"]');
  WebSocket.last.receive('42["e",2]');
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  equal(WebSocket.last.take(), ['40{"pid":"secret","offset":"offset-1","token":1}']);
  const missed = [];
  socket.on("e", (n) => missed.push(n));
  WebSocket.last.receive('42["e",3,"offset-2"]');
  WebSocket.last.receive('40{"sid":"public","pid":"secret"}');
  equal([socket.recovered, missed], [true, [3]]);
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  equal(WebSocket.last.take(), ['40{"pid":"secret","offset":"offset-2","token":1}']);
  WebSocket.last.receive('40{"sid":"other","pid":"new"}');
  strictEqual(socket.recovered, false);
});

test("retries: one event at a time, again after a timeout, given up after the last", async (t) => {
  clock(t);
  const { socket, WebSocket } = connected({ retries: 1, ackTimeout: 100 });
  const ends = [];
  socket.emit("a", (error) => ends.push(["a", error.message]));
  socket.emit("b", (error, value) => ends.push(["b", error, value]));
  await settle();
  equal(WebSocket.last.take(), ['420["a"]']);
  t.mock.timers.tick(100);
  await settle();
  equal(WebSocket.last.take(), ['421["a"]']);
  t.mock.timers.tick(100);
  await settle();
  equal(WebSocket.last.take(), ['422["b"]']);
  WebSocket.last.receive('432["done"]');
  equal(ends, [
    ["a", "operation has timed out"],
    ["b", null, "done"],
  ]);
});

test("retries: what was under way is sent again after a reconnection, once", async (t) => {
  clock(t);
  const { socket, WebSocket } = connected({ retries: 3 });
  const ends = [];
  socket.emit("a", (error, value) => ends.push([error, value]));
  socket.emit("b");
  await settle();
  equal(WebSocket.last.take(), ['420["a"]']);
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  enter({ WebSocket });
  await settle();
  equal(WebSocket.last.take().concat(socket.sendBuffer), ['421["a"]']);
  WebSocket.last.receive('431["done"]');
  await settle();
  equal([WebSocket.last.take(), ends], [['422["b"]'], [[null, "done"]]]);
});

test("retries: their ids stay where the server handles no id twice", async (t) => {
  clock(t);
  const { socket, WebSocket } = open({ retries: 2, ackTimeout: 100 });
  const said = '42["trunkline:keeps-ids"]';
  const enters = async (more) => {
    WebSocket.last.accept();
    await settle();
    WebSocket.last.take();
    WebSocket.last.receive(`40{"sid":"public"${more}}`);
    await settle();
    return WebSocket.last.take();
  };
  const ends = [];
  socket.emit("a", (error, value) => ends.push([error, value]));
  socket.emit("b", () => {});
  equal(await enters(',"once":true'), [said, '420["a"]']);
  t.mock.timers.tick(100);
  await settle();
  equal(WebSocket.last.take(), ['420["a"]']);
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  // The same of a session that goes on, or of another server of ours.
  equal(await enters(',"once":true'), [said, '420["a"]']);
  WebSocket.last.receive('430["done"]');
  await settle();
  equal([WebSocket.last.take(), ends], [['421["b"]'], [[null, "done"]]]);
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  // A server that knows nothing of it.
  equal(await enters(""), ['422["b"]']);
});

test("without retries a server that handles no id twice is told nothing", () => {
  const { WebSocket } = open();
  WebSocket.last.accept();
  WebSocket.last.take();
  WebSocket.last.receive('40{"sid":"public","once":true}');
  equal(WebSocket.last.take(), []);
});

test("retries: what cannot be written ends with an error and holds up nobody", async () => {
  const circular = {};
  circular.self = circular;
  const all = open({ retries: 3 });
  const { socket, WebSocket, events } = all;
  const ends = [];
  socket.emit("a", circular, (error) => ends.push(error.constructor));
  socket.emit("b");
  WebSocket.last.accept();
  WebSocket.last.take();
  const errors = await uncaught(() => WebSocket.last.receive('40{"sid":"public"}'));
  equal([ends, errors.length, events], [[TypeError], 1, [["connect", undefined]]]);
  equal(WebSocket.last.take(), ['421["b"]']);
  WebSocket.last.receive("431[]");
  throws(() => socket.emit("c", circular), TypeError);
});

test("without any possible transport the attempt fails", async () => {
  const { events } = open({ transports: ["carrier pigeon", "__proto__"], reconnection: false });
  await settle();
  equal(events, [["connect_error", "No transports available"]]);
});
