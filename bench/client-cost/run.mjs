// Measures both clients in turn against one bench-server and prints a table. See README.md for the command.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, connect } from "node:net";
import { availableParallelism, loadavg } from "node:os";
import { setTimeout as after } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: options } = parseArgs({
  options: {
    connections: { type: "string", default: "1000" },
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    server: { type: "string" },
  },
});

/** Longest time for one client. */
const CLIENT_MS = 180_000;
const ROWS = [
  ["resident bytes per idle connection", "bytesPerConnection"],
  ["CPU µs per connection opened", "connectMicros"],
  ["CPU µs per echo", "echoMicros"],
  ["CPU µs per delivery of a fan-out", "fanOutMicros"],
];

const release = build();
const url = await startServer();
const clients = {
  "trunkline-client": [`${release}/client-cost`],
  "socket.io-client": [process.execPath, "--expose-gc", here("client.mjs")],
};
const results = Object.fromEntries(Object.keys(clients).map((name) => [name, []]));
for (let round = 1; round <= Number(options.rounds); round += 1) {
  for (const [name, command] of Object.entries(clients)) {
    const load = loadavg()[0].toFixed(2);
    const result = measure(command);
    results[name].push(result);
    console.error(`round ${round}, load ${load}, ${name}: ${JSON.stringify(result)}`);
  }
}
console.log(table());
process.exit(0);

/** Builds the Rust programs; returns the folder in which they are. */
function build() {
  const cwd = here("../..");
  const packages = ["-p", "client-cost", ...(options.server ? [] : ["-p", "trunkline-bench"])];
  run("cargo", ["build", "--release", "--locked", ...packages], { cwd, stdio: "inherit" });
  const metadata = ["metadata", "--format-version", "1", "--no-deps", "--locked"];
  return `${JSON.parse(run("cargo", metadata, { cwd })).target_directory}/release`;
}

/** Starts bench-server on a free port, to be ended with this process; returns its address. */
async function startServer() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  const server = spawn(options.server ?? `${release}/bench-server`, [String(port)], { stdio: "inherit" });
  process.on("exit", () => server.kill("SIGKILL"));
  server.once("exit", (code) => {
    console.error(`bench-server ended with ${code}`);
    process.exit(1);
  });
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = connect(port, "127.0.0.1");
    // `once` rejects at an `error`.
    const isListening = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isListening) return `http://127.0.0.1:${port}`;
    await after(50);
  }
  throw new Error("bench-server does not listen");
}

function measure([program, ...words]) {
  const output = run(program, [...words, url, options.connections, options.seconds], { timeout: CLIENT_MS });
  return JSON.parse(output);
}

/** Runs a program to its end and returns its output. */
function run(program, words, settings) {
  const inherit = ["ignore", "pipe", "inherit"];
  const { status, signal, error, stdout } = spawnSync(program, words, { encoding: "utf8", stdio: inherit, ...settings });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ended with ${status ?? signal}`);
  return stdout;
}

function table() {
  const [ours, theirs] = Object.keys(clients);
  const lines = ROWS.map(([title, key]) => {
    const [a, b] = [ours, theirs].map((name) => summary(results[name].map((result) => result[key])));
    return `| ${title} | ${a.text} | ${b.text} | ${(a.median / b.median).toFixed(2)} |`;
  });
  const head = [`| | ${ours} | ${theirs} on Node.js ${process.versions.node} | ratio |`, "| --- | ---: | ---: | ---: |"];
  const [one, five] = loadavg();
  const note = `${options.rounds} rounds, ${options.connections} connections, ${options.seconds} s each; load at the end ${one.toFixed(2)} (5 min ${five.toFixed(2)}) on ${availableParallelism()} CPUs`;
  return [...head, ...lines, "", note].join("\n");
}

/** Median (min–max). */
function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const shown = (value) => (value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(2));
  return { median, text: `${shown(median)} (${shown(sorted[0])}–${shown(sorted.at(-1))})` };
}
