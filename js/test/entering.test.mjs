// A namespace that is entered and left on a connection which another one holds open: what is asked of the server, whose answer
// comes back, and what belongs to a session that was left.
import { deepStrictEqual as equal, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { settle } from "./fakes.mjs";
import { clock, connected, enter, open, twins } from "./sockets.mjs";

/** Two sockets of one connection; the second one has left, what it hears is noted in `events`. */
async function beside() {
  const all = await twins();
  const { WebSocket, second } = all;
  second.disconnect();
  const events = [];
  for (const event of ["connect", "connect_error", "disconnect"]) {
    second.on(event, (value) => events.push([event, value?.message ?? value]));
  }
  second.on("e", (value) => events.push(["e", value]));
  const sent = async () => {
    await settle();
    return WebSocket.last.take();
  };
  equal(await sent(), ["41/b,"]);
  return { ...all, events, sent, receive: (frame) => WebSocket.last.receive(frame) };
}

test("who leaves before the answer and comes back asks when it is there, and is in the second session", async () => {
  const { first, second, events, sent, receive } = await beside();
  second.connect().disconnect().connect().disconnect().connect();
  equal(await sent(), ["40/b,"]);
  receive('42/b,["e","of the first"]');
  receive('40/b,{"sid":"one"}');
  equal([await sent(), second.connected, second.id], [["41/b,", "40/b,"], false, undefined]);
  receive('42/b,["e","of the first"]');
  receive('40/b,{"sid":"two"}');
  receive('42/b,["e","of the second"]');
  equal(events, [["connect", undefined], ["e", "of the second"]]);
  equal([await sent(), second.id, first.connected], [[], "two", true]);
});

test("who leaves before the answer tells the server after it", async () => {
  const { second, events, sent, receive } = await beside();
  second.connect().disconnect();
  equal(await sent(), ["40/b,"]);
  receive('40/b,{"sid":"one"}');
  equal([await sent(), second.connected, events], [["41/b,"], false, []]);
  second.connect();
  equal(await sent(), ["40/b,"]);
  receive('40/b,{"sid":"two"}');
  equal([second.id, events], ["two", [["connect", undefined]]]);
});

for (const [what, again] of [["comes back asks again", true], ["does not come back says nothing", false]]) {
  test(`who leaves before a refusal and ${what}`, async () => {
    const { second, events, sent, receive } = await beside();
    second.connect().disconnect();
    if (again) second.connect();
    equal(await sent(), ["40/b,"]);
    receive('44/b,{"message":"not you"}');
    equal([await sent(), events, second.active], [again ? ["40/b,"] : [], [], again]);
  });
}

test("credentials are asked for when they are sent", async () => {
  const { second, sent, receive } = await beside();
  let n = 0;
  second.auth = async () => ({ n: (n += 1) });
  second.connect();
  equal(await sent(), ['40/b,{"n":1}']);
  second.disconnect().connect();
  receive('40/b,{"sid":"one"}');
  equal(await sent(), ["41/b,", '40/b,{"n":2}']);
  receive('40/b,{"sid":"two"}');
  equal([second.id, n], ["two", 2]);
});

for (const [what, active] of [["who still wants to enter", true], ["who has left", false]]) {
  test(`a loss before the answer: ${what} asks on the next connection as on the first`, async (t) => {
    const { WebSocket, second, sent } = await beside();
    clock(t);
    second.connect();
    if (!active) second.disconnect();
    equal(await sent(), ["40/b,"]);
    WebSocket.last.drop();
    t.mock.timers.tick(1000);
    WebSocket.last.accept();
    if (!active) second.connect();
    equal(await sent(), ["40/a,", "40/b,"]);
    enter({ WebSocket }, "/b");
    equal([second.connected, await sent()], [true, []]);
  });
}

test("what a left session still had under way is not the next one's", async (t) => {
  const { WebSocket, second, events, sent, receive } = await beside();
  second.connect();
  receive('40/b,{"sid":"one","pid":"of-one"}');
  second.disconnect().connect();
  await sent();
  events.length = 0;
  receive('42/b,["e","late","offset-of-one"]');
  // The server's word that crossed with ours.
  receive("41/b,");
  receive('40/b,{"sid":"two","pid":"of-two"}');
  equal([events, second.connected, second.active], [[["connect", undefined]], true, true]);
  clock(t);
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  equal(await sent(), ["40/a,", '40/b,{"pid":"of-two"}']);
});

test("events before the answer wait for it where nothing was left: after the server's word, and on the next connection", async (t) => {
  const { WebSocket, second, events, receive } = await beside();
  second.connect();
  receive('40/b,{"sid":"one"}');
  receive("41/b,");
  second.connect();
  receive('42/b,["e",1]');
  receive('40/b,{"sid":"two"}');
  second.disconnect().connect();
  clock(t);
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  receive('42/b,["e",2]');
  receive('40/b,{"sid":"three"}');
  equal(events.filter(([event]) => event === "e"), [["e", 1], ["e", 2]]);
});

for (const [what, end] of [
  ["its connection", ({ WebSocket }) => WebSocket.last.drop()],
  ["the application's wish", ({ socket }) => socket.disconnect()],
]) {
  test(`an event before the answer ends with ${what}`, (t) => {
    clock(t);
    const all = open();
    const { socket, WebSocket, events } = all;
    socket.on("e", () => events.push(["e"]));
    WebSocket.last.accept();
    WebSocket.last.receive('42["e"]');
    strictEqual(socket.receiveBuffer.length, 1);
    end(all);
    equal(socket.receiveBuffer, []);
    socket.connect();
    t.mock.timers.tick(1000);
    WebSocket.last.accept();
    enter(all);
    equal(events.at(-1), ["connect", undefined]);
    equal(events.filter(([event]) => event === "e"), []);
  });
}

test("too many events before the answer end one connection, not the next", (t) => {
  clock(t);
  const all = open();
  const { socket, WebSocket, events } = all;
  WebSocket.last.accept();
  for (let n = 0; n <= 10_000; n += 1) WebSocket.last.receive('42["e"]');
  equal(events.at(-1), ["disconnect", "parse error"]);
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  WebSocket.last.receive('42["e"]');
  enter(all);
  equal([events.at(-1), socket.connected], [["connect", undefined], true]);
});

const circular = {};
circular.self = circular;
for (const [how, auth] of Object.entries({
  value: circular,
  result: () => circular,
  callback: (send) => send(circular),
  promise: async () => circular,
})) {
  test(`credentials that JSON cannot hold are a refusal, as a ${how}`, async () => {
    const { first, second, events, sent, receive } = await beside();
    second.auth = auth;
    second.connect();
    await settle();
    equal(events.map(([event]) => event), ["connect_error"]);
    equal([second.active, first.connected, await sent()], [false, true, []]);
    second.auth = { token: 1 };
    second.connect();
    equal(await sent(), ['40/b,{"token":1}']);
    receive('40/b,{"sid":"one"}');
    strictEqual(second.id, "one");
  });
}

test("an answer that was not asked for is taken while the socket wants to enter", async () => {
  const { second, receive, sent } = await beside();
  receive('40/b,{"sid":"unasked"}');
  equal([second.connected, await sent()], [false, []]);
  second.auth = () => new Promise(() => {});
  second.connect();
  receive('40/b,{"sid":"unasked"}');
  equal([second.id, await sent()], ["unasked", []]);
});
