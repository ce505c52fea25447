// Connecting: credentials, refusals, namespaces, and who may end a connection.
import { deepStrictEqual as equal, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { STEP_MS, call, connected, next } from "../lib/context.mjs";
import { once, within } from "../lib/tools.mjs";

export const connectScenarios = [
  { name: "auth", run: (ctx) => carries(ctx, { token: "secret&=+%", room: "a b" }) },
  { name: "auth-unicode", run: (ctx) => carries(ctx, { token: "tök😀" }) },
  {
    name: "auth-of-namespace",
    async run(ctx) {
      const socket = await ctx.connect({ namespace: "/other", credentials: { token: "secret" } });
      const [auth] = await next(socket, "auth");
      // The old generation writes them behind the name, as a query in the CONNECT packet.
      equal(auth, { token: "secret" });
    },
  },
  {
    name: "transport",
    async run(ctx) {
      const socket = await ctx.connect();
      const { engine } = socket.io;
      if (ctx.group.transport === "upgrade" && engine.transport.name === "polling") {
        await within(STEP_MS, "the upgrade", once(engine, "upgrade"));
      }
      equal(await call(socket, "echo-ack", "there"), ["there"]);
      strictEqual(engine.transport.name, ctx.transports.at(-1));
      const [, id] = await call(socket, "where");
      strictEqual(id, socket.id);
    },
  },
  {
    name: "refused-with-data",
    async run(ctx) {
      const socket = ctx.socket({ namespace: "/refuse" });
      const [error] = await within(STEP_MS, "the refusal", once(socket, ctx.client.refused));
      const data = { code: 42, why: ["no", { deep: true }] };
      if (ctx.client.protocol === 4) {
        ok(error instanceof Error);
        strictEqual(error.message, "refused");
        equal(error.data, data);
      } else {
        equal(error, data);
      }
      strictEqual(socket.connected, false);
    },
  },
  {
    name: "unknown-namespace",
    async run(ctx) {
      const socket = ctx.socket({ namespace: "/nowhere" });
      const [error] = await within(STEP_MS, "the refusal", once(socket, ctx.client.refused));
      invalidNamespace(error);
    },
  },
  {
    name: "namespaces",
    async run(ctx) {
      const root = await ctx.connect();
      const other = await ctx.sibling(root, "/other");
      const dynamic = await ctx.sibling(root, "/dyn-7");
      const places = await Promise.all([root, other, dynamic].map((socket) => call(socket, "where")));
      equal(
        places.map(([name]) => name),
        ["/", "/other", "/dyn-7"],
      );

      // Events stay inside their namespace, and one namespace can be left without the others.
      other.emit("echo", "only here");
      equal(await next(other, "echo"), ["only here"]);
      other.close();
      equal(await call(root, "echo-ack", 1), [1]);
      equal(await call(dynamic, "echo-ack", 2), [2]);
      ok(!other.connected);
      root.emit("echo", "end");
      dynamic.emit("echo", "end");
      equal([await next(root, "echo"), await next(dynamic, "echo")], [["end"], ["end"]]);
    },
  },
  {
    name: "dynamic-namespace-refused",
    async run(ctx) {
      const socket = ctx.socket({ namespace: "/dyn-x" });
      const [error] = await within(STEP_MS, "the refusal", once(socket, ctx.client.refused));
      invalidNamespace(error);
    },
  },
  {
    name: "server-ends",
    async run(ctx) {
      const watcher = await ctx.connect({ namespace: "/watch" });
      const socket = await ctx.connect();
      const { id } = socket;
      socket.emit("kick");
      strictEqual((await next(socket, "disconnect"))[0], "io server disconnect");
      equal(await goneReason(watcher, id), "server namespace disconnect");
    },
  },
  {
    name: "client-ends",
    async run(ctx) {
      const watcher = await ctx.connect({ namespace: "/watch" });
      const root = await ctx.connect();
      const socket = await ctx.sibling(root, "/other");
      const [, id] = await call(socket, "where");
      socket.close();
      equal(await goneReason(watcher, id), "client namespace disconnect");
      equal(await call(root, "echo-ack", "still here"), ["still here"]);
    },
  },
  {
    name: "server-restarts",
    async run(ctx) {
      const first = await ctx.server();
      const socket = ctx.socket({
        port: first.port,
        reconnection: true,
        reconnectionDelay: 50,
        reconnectionDelayMax: 200,
      });
      await connected(socket);
      const { id } = socket;
      equal(await call(socket, "echo-ack", "before"), ["before"]);

      strictEqual(await first.stop(), 0, "the exit code after SIGTERM");
      const [reason] = await next(socket, "disconnect");
      ok(["transport close", "transport error"].includes(reason), `an unexpected reason: ${reason}`);
      const again = once(socket, "connect");
      await ctx.server([], { port: first.port });
      await within(STEP_MS, "the reconnection", again);
      equal(await call(socket, "echo-ack", "after"), ["after"]);
      notStrictEqual(socket.id, id);
    },
  },
];

/** The old generation has no auth: its credentials are the query of the connection. */
async function carries(ctx, credentials) {
  const socket = await ctx.connect({ credentials });
  const received = await next(socket, "auth");
  equal(received, ctx.client.protocol === 4 ? [credentials, null] : [{}, credentials.token]);
}

/** Both generations get the message; the old one as an object, because its packet has data and no message. */
function invalidNamespace(error) {
  const { message } = error;
  equal(error instanceof Error ? { message } : error, { message: "Invalid namespace" });
}

/** Waits until `/watch` tells that the socket `id` is gone, and returns why. */
export async function goneReason(watcher, id) {
  for (;;) {
    const [who, , reason] = await next(watcher, "gone");
    if (who === id) return reason;
  }
}
