// Retries to a namespace that handles no event twice: what a client of ours sends again is answered, and not handled again.
import { deepStrictEqual as equal, ok, strictEqual } from "node:assert/strict";
import { STEP_MS, call, connected, next } from "../lib/context.mjs";
import { once, within } from "../lib/tools.mjs";

const AWAY_MS = 100;
const TRY_MS = 200;

export const onceScenarios = [
  {
    name: "exactly-once",
    // A published client gives each retry another id.
    clients: /^trunkline-js/,
    async run(ctx) {
      const { port } = await ctx.server(["--recovery", "60000"]);
      const where = { port, namespace: "/once" };
      const other = await ctx.connect(where);
      const away = { reconnectionDelay: AWAY_MS, reconnectionDelayMax: AWAY_MS, randomizationFactor: 0 };
      const socket = ctx.socket({ ...where, ...away, reconnection: true, retries: 100, ackTimeout: TRY_MS });
      await connected(socket);
      for (const how of ["late", "lost"]) {
        let tries = 0;
        const again = new Promise((resolve) => socket.onAnyOutgoing(() => (tries += 1) === 2 && resolve()));
        const answer = socket.emitWithAck("hold", how);
        equal(await call(other, "held", how), [1]);
        if (how === "lost") {
          const back = once(socket, "connect");
          socket.io.engine.close();
          await next(socket, "disconnect");
          await within(STEP_MS, "the reconnection", back);
          ok(socket.recovered);
        }
        await within(STEP_MS, "a second try", again);
        await call(other, "release", how);
        strictEqual(await within(STEP_MS, "the answer", answer), 1);
        // Whatever was sent again has arrived before this.
        strictEqual(await within(STEP_MS, "another answer", socket.emitWithAck("held", how)), 1);
        socket.offAnyOutgoing();
      }
    },
  },
];
