// Runs the examples of the repository as they are built, and real clients against them.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { startProgram } from "../lib/server.mjs";
import { within } from "../lib/tools.mjs";
import { chatScenarios } from "./chat.mjs";
import { sessionScenarios } from "./session.mjs";

const CASE_MS = 20_000;
const START_MS = 15_000;
const LISTENING = /^listening on http:\/\/127\.0\.0\.1:(\d+)$/;

const SCENARIOS = [...chatScenarios, ...sessionScenarios];

export const exampleCases = () => SCENARIOS.map(({ name }) => `examples/${name}`);

/** Where cargo puts the examples when it puts the program of `command` into `<target>/release`. */
export const examplesBeside = ([program]) => join(dirname(program), "examples");

/** Runs the named cases, each program started once and ended here, whatever happens. */
export async function runExamples(names, directory, report) {
  const cases = SCENARIOS.filter(
    ({ name }) => names.includes(`examples/${name}`) && !report.skip(`examples/${name}`),
  );
  for (const program of new Set(cases.map((one) => one.program))) {
    const own = cases.filter((one) => one.program === program);
    let server;
    try {
      server = await begin(join(directory, program));
    } catch (error) {
      for (const { name } of own) report.add(`examples/${name}`, `cannot begin: ${error.stack}`);
      continue;
    }
    try {
      for (const one of own) await runCase(one, `http://127.0.0.1:${server.port}`, report);
    } finally {
      await server.kill();
    }
  }
}

function begin(path) {
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: cargo build --release --package trunkline-examples --examples`);
  }
  const env = { ...process.env, PORT: "0" };
  return startProgram([path], { env, ms: START_MS, listening: LISTENING });
}

async function runCase({ name, run }, url, report) {
  const world = { url, sockets: [] };
  const began = performance.now();
  const failure = await within(CASE_MS, "the whole case", run(world)).then(
    () => undefined,
    (error) => String(error.stack),
  );
  for (const socket of world.sockets) socket.close();
  report.add(`examples/${name}`, failure, performance.now() - began);
}
