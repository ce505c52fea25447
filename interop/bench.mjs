// Does `trunkline bench` measure servers that are not ours?
//
//   node bench.mjs [--program ../target/release/trunkline] [--only <text>]
//
// Every mode for half a second against the published Node.js server and python-socketio's: all kinds of messages must be counted,
// none may be wrong or missing, and the exit code must be 0. Then against a server that lacks the handlers: that must be a failure.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startServer } from "./lib/server.mjs";

const RUN_MS = 60_000;
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: options } = parseArgs({
  options: {
    program: { type: "string", default: at("../target/release/trunkline") },
    only: { type: "string", default: "" },
  },
});

const SERVERS = {
  "socket.io": [process.execPath, at("reference/bench-server.mjs")],
  "python-socketio": [at(".cache/venv/bin/python"), at("python/bench_server.py")],
};
/** The kinds of messages that each mode must have counted. */
const MODES = {
  connect: ["connect"],
  idle: [],
  publish: ["fanout", "publish"],
  echo: ["echo"],
  ack: ["ack"],
  fanout: ["fanout"],
  polling: ["polling"],
  mixed: ["ack", "connect", "echo", "fanout"],
};
/** Names that no server here handles. */
const UNKNOWN = ["echo", "ack", "publish", "message", "join"].flatMap((name) => [`--${name}-event`, `unknown-${name}`]);

let failures = 0;
for (const [name, command] of Object.entries(SERVERS)) {
  const server = await startServer(command, []);
  try {
    for (const [mode, kinds] of Object.entries(MODES)) {
      if (!`${name}/${mode}`.includes(options.only)) continue;
      const measured = await bench(server, mode, ["--pid", server.child.pid]);
      tell(`${name}/${mode}`, measured, wrong(measured, kinds));
      if (kinds.length === 0 || mode === "connect") continue;
      const silent = await bench(server, mode, [...UNKNOWN, "--timeout", "2s"]);
      tell(`${name}/${mode}/silent`, silent, unnoticed(silent));
    }
  } finally {
    await server.kill();
  }
}
process.exit(failures > 0 ? 1 : 0);

/** Runs one mode; its exit code, report and words. */
async function bench(server, mode, more) {
  const words = ["--connections", "8", "--duration", "500ms", "--warmup", "100ms", "--pause", "20ms", "--inflight", "2"];
  const child = spawn(options.program, ["bench", `http://127.0.0.1:${server.port}`, "--json", "--mode", mode, ...words, ...more], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: RUN_MS,
    killSignal: "SIGKILL",
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (chunk) => (out += chunk));
  child.stderr.on("data", (chunk) => (err += chunk));
  const code = await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  return { code, report: out ? JSON.parse(out) : undefined, err };
}

/** What is wrong with a run that must succeed, or nothing. */
function wrong({ code, report, err }, kinds) {
  if (code !== 0 || err) return `exit code ${code}`;
  if (report.failed || report.bad || report.disconnected) return "connections failed, or answers were wrong";
  if (Object.keys(report.messages).join() !== kinds.join()) return `other kinds than ${kinds}`;
  const missing = kinds.find((kind) => !(report.messages[kind].count > 0) || report.messages[kind].unanswered > 0);
  if (missing) return `${missing}: nothing was measured, or not all was answered`;
  if (!(report.server.memory_bytes > 0)) return "the server's process was not measured";
}

/** What is wrong with a run in which nobody answers, or nothing. */
function unnoticed({ code, err }) {
  if (code !== 1) return `exit code ${code}`;
  if (!/no answer within 2s/.test(err) || !err.includes('on("unknown-')) return "the handler is not named";
}

function tell(name, { report, err }, problem) {
  if (problem) failures += 1;
  console.log(`${problem ? "FAILED" : "ok"} ${name}${problem ? `: ${problem}` : ""}`);
  if (problem) console.log(`${err}${JSON.stringify(report, null, 2)}`);
}
