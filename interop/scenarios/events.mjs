// Events: numbers of arguments, nesting, binary, text beyond the BMP, order over an upgrade.
import { deepStrictEqual as equal, strictEqual } from "node:assert/strict";
import { STEP_MS, call, callWithin, next } from "../lib/context.mjs";
import { bytes, once, plain, unique, within } from "../lib/tools.mjs";

export const UNICODE = '😀 𝄞 👩‍👩‍👧‍👦 漢字 é \u2028\u2029 "\\/ \u0001\u007f \ufeff end';
const MESSAGES = 10_000;
/** Longest wait for their end: a slow server may have those of other cases to handle meanwhile. */
const FLOOD_MS = 30_000;

export const eventScenarios = [
  {
    name: "arguments-0-to-5",
    async run(ctx) {
      const socket = await ctx.connect();
      const all = [1.5, "two", { three: [3, null, true] }, [[], {}], -0.25];
      for (let count = 0; count <= all.length; count += 1) {
        socket.emit("echo", ...all.slice(0, count));
        equal(await next(socket, "echo"), all.slice(0, count));
      }
      socket.emit("echo", null, 0, "", false, Number.MAX_SAFE_INTEGER);
      equal(await next(socket, "echo"), [null, 0, "", false, Number.MAX_SAFE_INTEGER]);
    },
  },
  {
    name: "binary-nested-and-many",
    async run(ctx) {
      const socket = await ctx.connect();
      const args = [bytes(3), { a: [bytes(0), { b: bytes(200, 7) }], text: "t" }, "plain", [bytes(1, 9)]];
      socket.emit("echo", ...args);
      equal(await next(socket, "echo"), plain(args));
      equal(await call(socket, "echo-ack", ...args), plain(args));
    },
  },
  {
    name: "binary-900-kB",
    async run(ctx) {
      const socket = await ctx.connect();
      const three = [bytes(300_000, 1), { deep: [bytes(300_000, 2)] }, bytes(300_000, 3)];
      socket.emit("echo", ...three);
      equal(await next(socket, "echo"), plain(three));
      socket.emit("echo", bytes(900_000, 4));
      equal(await next(socket, "echo"), plain([bytes(900_000, 4)]));
    },
  },
  {
    name: "text-900-kB",
    async run(ctx) {
      const socket = await ctx.connect();
      const text = "trunkline ".repeat(90_000);
      socket.emit("echo", text);
      equal(await next(socket, "echo"), [text]);
    },
  },
  {
    name: "unicode",
    async run(ctx) {
      const socket = await ctx.connect();
      const value = { [UNICODE]: [UNICODE, { list: [UNICODE] }] };
      socket.emit("echo", UNICODE, value);
      equal(await next(socket, "echo"), [UNICODE, value]);
      equal(await call(socket, "echo-ack", UNICODE), [UNICODE]);
      const room = unique("комната-😀");
      equal(await call(socket, "join", room), [[room]]);
    },
  },
  {
    name: "unicode-with-binary",
    async run(ctx) {
      const socket = await ctx.connect();
      const args = [UNICODE, bytes(10), { [UNICODE]: bytes(20, 5) }];
      socket.emit("echo", ...args);
      equal(await next(socket, "echo"), plain(args));
    },
  },
  {
    name: "ordered-10000-each-way",
    async run(ctx) {
      const socket = await ctx.connect();
      const { engine } = socket.io;
      const received = [];
      const all = new Promise((resolve) => {
        socket.off("n");
        socket.on("n", (n) => received.push(n) === MESSAGES && resolve());
      });
      let sent = 0;
      const send = (until) => {
        socket.emit("flood", sent, until);
        for (; sent < until; sent += 1) socket.emit("count", sent);
      };

      // One part on polling, one while the upgrade is under way, one after it; elsewhere all parts are alike.
      const upgrades = ctx.group.transport === "upgrade" && engine.transport.name === "polling";
      const upgrading = upgrades && !engine.upgrading ? once(engine, "upgrading") : undefined;
      const upgraded = upgrades ? once(engine, "upgrade") : undefined;
      send(2_000);
      await within(STEP_MS, "the beginning of the upgrade", Promise.resolve(upgrading));
      send(4_000);
      await within(STEP_MS, "the upgrade", Promise.resolve(upgraded));
      send(MESSAGES);

      equal(await callWithin(FLOOD_MS, socket, "counted"), [MESSAGES, true]);
      await within(FLOOD_MS, "the last message", all);
      const wrong = received.findIndex((n, index) => n !== index);
      strictEqual(wrong, -1, `message ${received[wrong]} arrived as number ${wrong}`);
      strictEqual(received.length, MESSAGES);
      strictEqual(engine.transport.name, ctx.transports.at(-1));
    },
  },
];
