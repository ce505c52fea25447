// Runs one group of cases in a worker process, in the language of its client.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SCENARIOS } from "../scenarios/index.mjs";

/** A group that takes longer than this has hung. */
const GROUP_MS = 240_000;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PYTHON = here("../.cache/venv/bin/python");
const PYTHON_WORKER = here("../python/worker.py");
const RUST_WORKER = process.env.INTEROP_CLIENT ?? here("../../target/release/interop-client");

/** The names of the cases that a group has. */
export function casesOf(group) {
  if (group.kind === "python") return pythonCases();
  // The Rust worker knows the same scenarios by the same names.
  const scenarios = SCENARIOS[group.kind === "rust" ? "socket.io" : group.kind];
  return scenarios.filter(({ clients = /./ }) => clients.test(group.client)).map(({ name }) => name);
}

/** Runs `names` of `group` and adds every outcome to the report, even when the worker dies. */
export async function runGroup(group, names, servers, report) {
  const left = new Set(names.filter((name) => !report.skip(`${group.name}/${name}`)));
  if (left.size === 0) return;
  let settings;
  try {
    settings = await servers.settings(group);
  } catch (error) {
    for (const name of left) report.add(`${group.name}/${name}`, `no server: ${error.message}`);
    return;
  }
  const job = JSON.stringify({ group, names: [...left], settings });
  const worker = start(group, job, settings.certificate.cert);
  let stderr = "";
  worker.stderr.on("data", (chunk) => (stderr = (stderr + chunk).slice(-4_000)));
  worker.once("error", (error) => (stderr += error.message));
  createInterface({ input: worker.stdout }).on("line", (line) => {
    const { name, failure, ms } = JSON.parse(line);
    if (left.delete(name)) report.add(`${group.name}/${name}`, failure, ms);
  });
  const timer = setTimeout(() => worker.kill("SIGKILL"), GROUP_MS);
  const code = await new Promise((resolve) =>
    worker.once("close", (exit, signal) => resolve(exit ?? signal)),
  );
  clearTimeout(timer);
  for (const name of left)
    report.add(`${group.name}/${name}`, `its client process ended with ${code}\n${stderr}`);
}

function start(group, job, cert) {
  // The certificate is trusted, not ignored: its check is part of what is tested.
  const trust = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE"];
  const env = { ...process.env, ...Object.fromEntries(trust.map((name) => [name, cert])) };
  env.PYTHONDONTWRITEBYTECODE = "1"; // nothing of a run stays in the sources
  const [program, ...words] = workerOf(group.kind);
  return spawn(program, [...words, job], { stdio: ["ignore", "pipe", "pipe"], env });
}

function workerOf(kind) {
  if (kind === "python") return [PYTHON, PYTHON_WORKER];
  if (kind === "rust") return [RUST_WORKER];
  return [process.execPath, here("../worker.mjs")];
}

/** The scenarios of the Python worker are its functions with this prefix; reading them needs no Python. */
function pythonCases() {
  const source = readFileSync(here("../python/scenarios.py"), "utf8");
  return [...source.matchAll(/^async def scenario_(\w+)\(/gm)].map(([, name]) => name.replaceAll("_", "-"));
}
