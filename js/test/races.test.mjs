// What happens while something else is under way: listeners that connect and leave, credentials and answers that come late.
import { deepStrictEqual as equal, ok, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { settle } from "./fakes.mjs";
import { clock, connected, enter, open, twins, uncaught } from "./sockets.mjs";

for (const [what, event, lose] of [
  ["disconnect", "disconnect", ({ WebSocket }) => WebSocket.last.drop()],
  ["connect_error", "connect_error", ({ WebSocket }) => WebSocket.last.onerror({})],
]) {
  test(`a listener of ${what} that connects at once does not end the reconnection`, (t) => {
    clock(t);
    const all = event === "disconnect" ? connected() : open();
    const { socket, WebSocket } = all;
    socket.once(event, () => socket.connect());
    lose(all);
    strictEqual(WebSocket.opened.length, 2);
    WebSocket.last.accept();
    enter(all);
    t.mock.timers.tick(5000);
    equal([WebSocket.opened.length, socket.connected], [2, true]);
    WebSocket.last.drop();
    t.mock.timers.tick(1000);
    strictEqual(WebSocket.opened.length, 3);
  });
}

test("a reconnection that was switched off while it waited is not told of, and connect() begins one", (t) => {
  clock(t);
  const { socket, WebSocket } = connected();
  let attempts = 0;
  socket.io.on("reconnect_attempt", () => (attempts += 1));
  WebSocket.last.drop();
  socket.io.reconnection(false);
  t.mock.timers.tick(60_000);
  equal([attempts, WebSocket.opened.length], [0, 1]);
  socket.connect();
  strictEqual(WebSocket.opened.length, 2);
});

test("a socket that another one's listener disconnects hears of it once", async () => {
  const { WebSocket, first, second } = await twins();
  const reasons = [];
  first.on("disconnect", () => second.disconnect());
  second.on("disconnect", (reason) => reasons.push(reason));
  WebSocket.last.drop();
  equal(reasons, ["io client disconnect"]);
});

test("credentials of a socket that was left meanwhile are not sent, and their failure is nobody's", async () => {
  const { WebSocket, second } = await twins();
  const given = [];
  second.auth = () => new Promise((resolve, reject) => given.push({ resolve, reject }));
  const errors = [];
  second.on("connect_error", ({ message }) => errors.push(message));
  for (let n = 0; n < 3; n += 1) second.disconnect().connect();
  await settle();
  WebSocket.last.take();
  given[0].resolve({ n: 0 });
  given[1].reject(new Error("too late"));
  given[2].resolve({ n: 2 });
  await settle();
  equal([WebSocket.last.take(), errors, second.active], [['40/b,{"n":2}'], [], true]);
});

test("an answer is not sent again although the socket was left in between", async () => {
  const { WebSocket, second } = await twins();
  let answer;
  second.on("ask", (given) => (answer = given));
  WebSocket.last.receive('42/b,0["ask"]');
  answer("once");
  second.disconnect();
  answer("twice");
  await settle();
  equal(WebSocket.last.take(), ['43/b,0["once"]', "41/b,"]);
});

test("credentials that fail after their connection do not end the socket", async (t) => {
  clock(t);
  const given = [];
  const { socket, WebSocket, events } = open({ auth: () => new Promise((...both) => given.push(both)) });
  WebSocket.last.accept();
  WebSocket.last.drop();
  given[0][1](new Error("too late"));
  await settle();
  equal([socket.active, events.map(([event]) => event)], [true, ["disconnect"]]);
});

test("an answer to an event of an earlier connection is not sent into the next", async (t) => {
  clock(t);
  const all = connected();
  const { socket, WebSocket } = all;
  let answer;
  socket.on("ask", (given) => (answer = given));
  WebSocket.last.receive('420["ask"]');
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  enter(all);
  answer("late");
  await settle();
  equal(WebSocket.last.take(), []);
  WebSocket.last.receive('420["ask"]');
  answer("in time");
  await settle();
  equal(WebSocket.last.take(), ['430["in time"]']);
});

test("an acknowledgement that throws does not keep the others waiting", async (t) => {
  clock(t);
  const { socket, WebSocket } = connected();
  const ended = [];
  socket.timeout(60_000).emit("a", () => {
    throw new Error("of the first");
  });
  socket.timeout(60_000).emit("b", (error) => ended.push(error.message));
  const errors = await uncaught(() => WebSocket.last.drop());
  equal([ended, errors], [["socket has been disconnected"], ["of the first"]]);
});

test("a listener of dropped events that throws does not stop the connection", async () => {
  const onDrop = () => {
    throw new Error("of the listener");
  };
  const { socket, WebSocket, events } = open({ offlineBuffer: { policy: "last", maxCount: 1, onDrop } });
  const errors = await uncaught(() => {
    const lost = rejects(socket.emitWithAck("a"), /dropped while offline/);
    socket.emit("b");
    return lost;
  });
  equal(errors, ["of the listener"]);
  WebSocket.last.accept();
  WebSocket.last.take();
  WebSocket.last.receive('40{"sid":"public"}');
  equal([events, WebSocket.last.take()], [[["connect", undefined]], []]);
  await settle();
  equal(WebSocket.last.take(), ['42["b"]']);
});

test("who leaves at an early event is not connected afterwards, and sends nothing", async () => {
  const { socket, WebSocket, events } = open();
  socket.on("early", () => socket.disconnect());
  socket.emit("kept");
  WebSocket.last.accept();
  await settle();
  WebSocket.last.take();
  WebSocket.last.receive('42["early"]');
  WebSocket.last.receive('40{"sid":"public"}');
  await settle();
  equal(events, [["disconnect", "io client disconnect"]]);
  equal([WebSocket.last.take(), socket.connected, socket.sendBuffer.length], [["41"], false, 1]);
});

test("recovery: an offset is not told in another session than its own", (t) => {
  clock(t);
  const { socket, WebSocket } = open();
  WebSocket.last.accept();
  enter({ WebSocket }, "", ',"pid":"first"');
  WebSocket.last.receive('42["e","of-the-first"]');
  for (const expected of ['40{"pid":"first","offset":"of-the-first"}', '40{"pid":"second"}']) {
    WebSocket.last.drop();
    t.mock.timers.tick(1000);
    WebSocket.last.accept();
    equal(WebSocket.last.take(), [expected]);
    WebSocket.last.receive('40{"sid":"public","pid":"second"}');
  }
  strictEqual(socket.recovered, true);
});

test("retries: one event is sent once although the connection became doubtful in between", async (t) => {
  clock(t);
  const all = connected({ retries: 3 });
  const { socket, WebSocket } = all;
  const { engine } = socket.io;
  // The clock passes the deadline after the queue has looked, and before the event is sent.
  let looks = 0;
  engine._hasPingExpired = () => (looks += 1) > 1;
  socket.emit("a");
  strictEqual(socket.sendBuffer.length, 1);
  WebSocket.last.drop();
  t.mock.timers.tick(1000);
  WebSocket.last.accept();
  WebSocket.last.take();
  WebSocket.last.receive('40{"sid":"public"}');
  await settle();
  equal(WebSocket.last.take(), ['420["a"]']);
});

test("retries: events are sent although nothing is kept while offline", async () => {
  const { socket, WebSocket } = connected({ retries: 3, offlineBuffer: "none" });
  const answer = socket.emitWithAck("a");
  socket.emit("b");
  await settle();
  equal(WebSocket.last.take(), ['420["a"]']);
  WebSocket.last.receive('430["done"]');
  strictEqual(await answer, "done");
  await settle();
  equal(WebSocket.last.take(), ['421["b"]']);
});

test("a timeout longer than a timer can be is not over at once", async (t) => {
  clock(t);
  const { socket, WebSocket } = connected();
  const answer = socket.timeout(Infinity).emitWithAck("a");
  t.mock.timers.tick(40_000);
  WebSocket.last.receive('430["done"]');
  strictEqual(await answer, "done");
});
