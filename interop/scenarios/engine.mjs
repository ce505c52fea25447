// The raw Engine.IO echo at /engine.io/, for programs that use the lower layer alone.
import { deepStrictEqual as equal, ok, strictEqual } from "node:assert/strict";
import { STEP_MS } from "../lib/context.mjs";
import { Inbox, bytes, once, plain, within } from "../lib/tools.mjs";
import { UNICODE } from "./events.mjs";

const MESSAGES = 10_000;

export const engineScenarios = [
  {
    name: "engine-echo",
    async run(ctx) {
      const socket = await open(ctx);
      // No empty text: client 6 reports one as undefined.
      for (const message of ["text", UNICODE, bytes(0), bytes(1_000), "x".repeat(900_000), bytes(900_000)]) {
        socket.send(message);
        equal(await receive(socket), plain(message));
      }
      socket.send(UNICODE);
      socket.send(bytes(9));
      socket.send("after");
      equal(
        [await receive(socket), await receive(socket), await receive(socket)],
        plain([UNICODE, bytes(9), "after"]),
      );
    },
  },
  {
    name: "engine-ordered-10000-across-upgrade",
    async run(ctx) {
      const socket = await open(ctx);
      const upgrades = ctx.group.transport === "upgrade" && socket.transport.name === "polling";
      const upgrading = upgrades && !socket.upgrading ? once(socket, "upgrading") : undefined;
      const upgraded = upgrades ? once(socket, "upgrade") : undefined;
      let sent = 0;
      const send = (until) => {
        for (; sent < until; sent += 1) socket.send(`n ${sent}`);
      };
      send(2_000);
      await within(STEP_MS, "the beginning of the upgrade", Promise.resolve(upgrading));
      send(4_000);
      await within(STEP_MS, "the upgrade", Promise.resolve(upgraded));
      send(MESSAGES);
      for (let n = 0; n < MESSAGES; n += 1) strictEqual(await receive(socket), `n ${n}`);
      strictEqual(socket.transport.name, ctx.transports.at(-1));
    },
  },
  {
    name: "engine-handshake",
    async run(ctx) {
      const socket = engine(ctx, ctx.settings.fastPort);
      const handshake = once(socket, "handshake");
      await within(STEP_MS, "open", once(socket, "open"));
      const [{ sid, upgrades, pingInterval, pingTimeout, maxPayload }] = await handshake;
      ok(/^[\w-]{20}$/.test(sid), `an unusual session id: ${sid}`);
      equal(upgrades, ctx.transports[0] === "polling" ? ["websocket"] : []);
      equal([pingInterval, pingTimeout], [300, 1_200]);
      strictEqual(maxPayload, 2_000_000);
      await new Promise((resolve) => setTimeout(resolve, 2 * ctx.settings.fastMs));
      strictEqual(socket.readyState, "open", "heartbeats keep a silent connection");
    },
  },
  {
    name: "engine-lost-server",
    async run(ctx) {
      const server = await ctx.server(ctx.settings.fastFlags);
      const socket = await open(ctx, server.port);
      const closed = once(socket, "close");
      server.pause();
      strictEqual((await within(STEP_MS, "the close", closed))[0], "ping timeout");
    },
  },
];

function engine(ctx, port) {
  const scheme = ctx.group.tls ? "wss" : "ws";
  const socket = new ctx.Engine(`${scheme}://127.0.0.1:${port}`, {
    path: "/engine.io/",
    transports: ctx.transports,
  });
  socket.inbox = new Inbox();
  socket.on("message", (message) => socket.inbox.push(message));
  ctx.defer(() => socket.close());
  return socket;
}

async function open(ctx, port = ctx.settings.port) {
  const socket = engine(ctx, port);
  const failed = once(socket, "error").then(([error]) => Promise.reject(error));
  await within(STEP_MS, "open", Promise.race([once(socket, "open"), failed]));
  return socket;
}

const receive = async (socket) => plain(await within(STEP_MS, "a message", socket.inbox.take()));
