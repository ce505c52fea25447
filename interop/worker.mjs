// Runs the cases of one group in a process of its own and reports each to the runner as one line of JSON.
import { Context } from "./lib/context.mjs";
import { loadClient, loadEngine } from "./clients/index.mjs";
import { within } from "./lib/tools.mjs";
import { SCENARIOS } from "./scenarios/index.mjs";

/** Longest time for one case, above every step's own limit. */
const CASE_MS = 40_000;
/** Cases that run at the same time: many of them wait for a heartbeat or a timeout. */
const AT_ONCE = 4;

const { group, names, settings } = JSON.parse(process.argv[2]);
const scenarios = SCENARIOS[group.kind].filter(({ name }) => names.includes(name));

async function runCase(scenario) {
  const isEngine = group.kind === "engine.io";
  const context = new Context(group, isEngine ? undefined : loadClient(group.client), settings);
  if (isEngine) context.Engine = loadEngine(group.client);
  const began = performance.now();
  let failure;
  try {
    await within(CASE_MS, "the whole case", scenario.run(context));
  } catch (error) {
    failure = String(error?.stack ?? error);
  }
  await within(CASE_MS, "the end of the case", context.end()).catch((error) => {
    failure ??= `cleaning up: ${error.message}`;
  });
  const outcome = { name: scenario.name, failure, ms: performance.now() - began };
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

// An error that a client throws outside of any case must not be lost: the runner sees the exit code.
process.on("unhandledRejection", (error) => {
  throw error;
});
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let scenario; (scenario = scenarios.shift());) await runCase(scenario);
  }),
);
process.stdout.write("", () => process.exit(0));
