// Acknowledgements in both directions, and what happens when none comes.
import { deepStrictEqual as equal, ok, strictEqual } from "node:assert/strict";
import { STEP_MS, call, next } from "../lib/context.mjs";
import { bytes, plain, unique, within } from "../lib/tools.mjs";

/** How long this suite waits for an answer that must not come. */
const SILENCE_MS = 250;

export const ackScenarios = [
  {
    name: "ack-from-server",
    async run(ctx) {
      const socket = await ctx.connect();
      equal(await call(socket, "echo-ack"), []);
      equal(await call(socket, "echo-ack", 1, "two", { three: 3 }), [1, "two", { three: 3 }]);
      // Many at once: each answer must find its own question.
      const numbers = Array.from({ length: 100 }, (_, n) => n);
      equal(
        await Promise.all(numbers.map((n) => call(socket, "echo-ack", n))),
        numbers.map((n) => [n]),
      );
    },
  },
  {
    name: "ack-from-client",
    async run(ctx) {
      const socket = await ctx.connect();
      socket.on("question", (value, answer) => answer({ heard: value }));
      socket.emit("ask-me", { a: [1, "ü"] }, STEP_MS);
      equal(await next(socket, "answer"), ["ok", { heard: { a: [1, "ü"] } }]);
      socket.emit("ask-me", bytes(50), STEP_MS);
      equal(await next(socket, "answer"), ["ok", { heard: plain(bytes(50)) }]);
    },
  },
  {
    name: "ack-timeout-at-client",
    async run(ctx) {
      const socket = await ctx.connect();
      const silent = new Promise((resolve) => {
        if (socket.timeout) socket.timeout(SILENCE_MS).emit("never", "x", resolve);
        else {
          // Clients before 4.4 have no timeout: the answer just must not come.
          setTimeout(resolve, SILENCE_MS, "silence");
          socket.emit("never", "x", () => resolve("an answer"));
        }
      });
      const outcome = await within(STEP_MS, "the timeout", silent);
      if (socket.timeout) {
        ok(outcome instanceof Error);
        strictEqual(outcome.message, "operation has timed out");
      } else strictEqual(outcome, "silence");
      equal(await call(socket, "echo-ack", "alive"), ["alive"]);
    },
  },
  {
    name: "ack-timeout-at-server",
    async run(ctx) {
      const socket = await ctx.connect();
      const answers = [];
      socket.on("question", (value, answer) => answers.push(answer));
      socket.emit("ask-me", "silence", SILENCE_MS);
      equal(await next(socket, "answer"), ["timeout", null]);
      // An answer that comes too late is nothing to the server, and the socket lives on.
      strictEqual(answers.length, 1);
      answers[0]("late");
      equal(await call(socket, "echo-ack", "alive"), ["alive"]);
    },
  },
  {
    name: "ack-from-room",
    async run(ctx) {
      const room = unique("asked");
      const sockets = await Promise.all([ctx.connect(), ctx.connect(), ctx.connect()]);
      for (const socket of sockets) equal(await call(socket, "join", room), [[room]]);
      const [first, second, third] = sockets;
      first.on("question", (value, answer) => answer(`${value} 1`));
      second.on("question", (value, answer) => answer(`${value} 2`));
      const outsider = await ctx.connect();
      outsider.on("question", (value, answer) => answer("nobody asked"));

      // The third stays silent: the two answers are kept.
      outsider.emit("ask-room", room, "q", 4 * SILENCE_MS);
      const [outcome, partial] = await next(outsider, "answers");
      equal([outcome, partial.sort()], ["timeout", ["q 1", "q 2"]]);
      third.on("question", (value, answer) => answer(`${value} 3`));
      outsider.emit("ask-room", room, "r", STEP_MS);
      const [state, whole] = await next(outsider, "answers");
      equal([state, whole.sort()], ["ok", ["r 1", "r 2", "r 3"]]);
    },
  },
];
