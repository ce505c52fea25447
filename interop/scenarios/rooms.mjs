// Rooms: who hears a broadcast and, as carefully, who does not.
import { deepStrictEqual as equal } from "node:assert/strict";
import { call, next } from "../lib/context.mjs";
import { bytes, plain, unique } from "../lib/tools.mjs";

export const roomScenarios = [
  {
    name: "rooms-and-broadcast",
    async run(ctx) {
      const [red, blue, everybody] = [unique("red"), unique("blue"), unique("all")];
      const sockets = await Promise.all([ctx.connect(), ctx.connect(), ctx.connect(), ctx.connect()]);
      const [a, b, c, d] = sockets;
      for (const socket of sockets) await call(socket, "join", everybody);
      for (const socket of [a, b]) equal((await call(socket, "join", red))[0], [everybody, red].sort());
      for (const socket of [b, c]) await call(socket, "join", blue);

      await call(a, "say", "to", [red], [], "red without sender"); // b
      await call(a, "say", "within", [red], [], "red with sender"); // a b
      await call(d, "say", "to", [red, blue], [], "two rooms, once each"); // a b c
      await call(d, "say", "to", [everybody], [blue], "all but blue"); // a
      await call(d, "say", "within", [everybody], [red, blue], "all but both"); // d
      await call(a, "say", "to", [unique("empty")], [], "nobody");
      await call(a, "say", "to", [blue], [], { binary: [bytes(40)] }); // b c
      equal(await call(b, "leave", red), [[everybody, blue].sort()]);
      await call(a, "say", "to", [red], [], "b has left");
      await call(a, "say", "within", [everybody], [], "end of a");
      await call(d, "say", "within", [everybody], [], "end of d");

      const binary = plain({ binary: [bytes(40)] });
      const fromA = ["red without sender", "red with sender", "b has left", "nobody", binary];
      const heard = await Promise.all(sockets.map(heardUntilBothEnds));
      const expected = [
        { a: ["red with sender"], d: ["two rooms, once each", "all but blue"] },
        { a: ["red without sender", "red with sender", binary], d: ["two rooms, once each"] },
        { a: [binary], d: ["two rooms, once each"] },
        { a: [], d: ["all but both"] },
      ];
      // Order holds for one sender; two senders may be heard in either order.
      const sorted = heard.map((values) => ({
        a: values.filter((value) => isOneOf(fromA, value)),
        d: values.filter((value) => !isOneOf(fromA, value)),
      }));
      equal(sorted, expected);
    },
  },
  {
    name: "rooms-are-per-namespace",
    async run(ctx) {
      const room = unique("same-name");
      const root = await ctx.connect();
      const other = await ctx.sibling(root, "/other");
      await call(root, "join", room);
      await call(other, "join", room);
      await call(root, "say", "within", [room], [], "in root");
      await call(other, "say", "within", [room], [], "in other");
      equal(await next(root, "said"), ["in root"]);
      equal(await next(other, "said"), ["in other"]);
    },
  },
  {
    name: "broadcast-to-own-id",
    async run(ctx) {
      const [a, b] = await Promise.all([ctx.connect(), ctx.connect()]);
      await call(a, "say", "to", [b.id], [], "only you");
      equal(await next(b, "said"), ["only you"]);
    },
  },
  {
    name: "rooms-end-with-the-socket",
    async run(ctx) {
      const room = unique("left-behind");
      const watcher = await ctx.connect({ namespace: "/watch" });
      const [stays, leaves] = await Promise.all([ctx.connect(), ctx.connect()]);
      for (const socket of [stays, leaves]) await call(socket, "join", room);
      const { id } = leaves;
      leaves.close();
      while ((await next(watcher, "gone"))[0] !== id);
      // A room that still held the lost socket would wait for its answer until the timeout.
      stays.on("question", (value, answer) => answer("here"));
      stays.emit("ask-room", room, "who?", 5_000);
      equal(await next(stays, "answers"), ["ok", ["here"]]);
    },
  },
];

/** Everything `socket` heard until the last word of both speakers. */
async function heardUntilBothEnds(socket) {
  const heard = [];
  for (let ends = 0; ends < 2;) {
    const [value] = await next(socket, "said");
    if (typeof value === "string" && value.startsWith("end of")) ends += 1;
    else heard.push(value);
  }
  return heard;
}

const isOneOf = (list, value) => list.some((entry) => JSON.stringify(entry) === JSON.stringify(value));
