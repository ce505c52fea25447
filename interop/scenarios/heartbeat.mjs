// Heartbeats: quiet connections live, and a lost peer is noticed by either side.
import { deepStrictEqual as equal, ok, strictEqual } from "node:assert/strict";
import { connected, next } from "../lib/context.mjs";
import { goneReason } from "./connect.mjs";

export const heartbeatScenarios = [
  {
    name: "heartbeat-keeps-alive",
    async run(ctx) {
      const socket = await ctx.connect({ port: ctx.settings.fastPort });
      // Twice interval plus timeout in silence: without a heartbeat one of the sides would have closed.
      await new Promise((resolve) => setTimeout(resolve, 2 * ctx.settings.fastMs));
      ok(socket.connected);
      socket.emit("echo", "alive");
      equal(await next(socket, "echo"), ["alive"]);
    },
  },
  {
    name: "heartbeat-lost-client",
    async run(ctx) {
      const port = ctx.settings.fastPort;
      const watcher = await ctx.connect({ namespace: "/watch", port });
      const { child, id } = await ctx.hold(port);
      child.kill("SIGSTOP");
      strictEqual(await goneReason(watcher, id), "ping timeout");
    },
  },
  {
    name: "heartbeat-lost-server",
    async run(ctx) {
      const server = await ctx.server(ctx.settings.fastFlags);
      const socket = ctx.socket({ port: server.port });
      await connected(socket);
      server.pause();
      strictEqual((await next(socket, "disconnect"))[0], "ping timeout");
    },
  },
];
