// Connection state recovery: a lost connection, and what comes after it.
import { deepStrictEqual as equal, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { STEP_MS, call, connected, next } from "../lib/context.mjs";
import { once, within } from "../lib/tools.mjs";

/** Long enough for what happens meanwhile, which is waited for and not timed. */
const AWAY_MS = 300;

export const recoveryScenarios = [
  {
    name: "recovery",
    async run(ctx) {
      const { port } = await ctx.server(["--recovery", "60000"]);
      const speaker = await ctx.connect({ port });
      const say = (value) => call(speaker, "say", "to", ["room"], [], value);
      const away = { reconnectionDelay: AWAY_MS, reconnectionDelayMax: AWAY_MS, randomizationFactor: 0 };
      const socket = ctx.socket({ port, reconnection: true, ...away });
      await connected(socket);
      const { id } = socket;
      await call(socket, "join", "room");
      for (const round of [1, 2, 3]) {
        await say(`seen ${round}`);
        strictEqual((await next(socket, "said"))[0], `seen ${round}`);
        const back = once(socket, "connect");
        socket.io.engine.close();
        await next(socket, "disconnect");
        await say(`missed ${round}`);
        await within(STEP_MS, "the reconnection", back);
        if (ctx.client.recovers) {
          ok(socket.recovered);
          strictEqual(socket.id, id);
          strictEqual((await next(socket, "said"))[0], `missed ${round}`);
        } else {
          // A generation that knows nothing of it is a new socket, and all else works.
          ok(!socket.recovered);
          notStrictEqual(socket.id, id);
          await call(socket, "join", "room");
        }
      }
      equal(await call(socket, "echo-ack", "after"), ["after"]);
    },
  },
];
