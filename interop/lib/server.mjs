// Starts, pauses and ends the server under test. Everything is done by handle, nothing by name.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as after } from "node:timers/promises";

const START_MS = 15_000;
const STOP_MS = 10_000;

/** Starts `command` (a list of words) with `flags` and resolves once it has said `listening <port>`. */
export async function startServer(command, flags, { port = 0 } = {}) {
  const deadline = Date.now() + START_MS;
  for (;;) {
    try {
      return await startOnce(command, ["--port", String(port), ...flags], deadline - Date.now());
    } catch (error) {
      // A given port may be taken for a moment, by an outgoing connection that got the same number.
      if (port === 0 || Date.now() > deadline) throw error;
      await after(100);
    }
  }
}

function startOnce([program, ...words], flags, ms) {
  return startProgram([program, ...words, ...flags], { ms, listening: /^listening (\d+)$/ });
}

/**
 * Starts `command` and resolves once a line of its `output`, `stdout` or `stderr`, matches `listening`, whose first group is the
 * port.
 */
export async function startProgram([program, ...words], { ms, listening: pattern, env = process.env, output = "stdout" }) {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env });
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr = (stderr + chunk).slice(-2_000)));
  const ended = new Promise((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)));
  const failed = new Promise((_, reject) => child.once("error", reject));
  failed.catch(() => {});
  const listening = new Promise((resolve) => {
    createInterface({ input: child[output] }).on("line", (line) => {
      const match = pattern.exec(line);
      if (match) resolve(Number(match[1]));
    });
  });
  const timer = new AbortController();
  const port = await Promise.race([
    listening,
    failed,
    ended.then((code) => Promise.reject(new Error(`the server ended with ${code}: ${stderr.trim()}`))),
    after(ms, undefined, { signal: timer.signal }).then(() => {
      child.kill("SIGKILL");
      throw new Error(`the server did not say ${pattern} in time`);
    }),
  ]).finally(() => timer.abort());
  return new RunningServer(child, port, ended);
}

/** One process of the server under test. */
class RunningServer {
  constructor(child, port, ended) {
    this.child = child;
    this.port = port;
    this.ended = ended;
  }

  /** SIGSTOP: the kernel keeps its connections open, but nobody answers any more. */
  pause() {
    this.child.kill("SIGSTOP");
  }

  /** SIGTERM; resolves with the exit code, or rejects when the server does not end. */
  async stop() {
    this.child.kill("SIGTERM");
    const timer = new AbortController();
    const late = after(STOP_MS, "late", { signal: timer.signal }).catch(() => "aborted");
    const code = await Promise.race([this.ended, late]);
    timer.abort();
    if (code === "late") {
      await this.kill();
      throw new Error(`the server did not end within ${STOP_MS} ms of SIGTERM`);
    }
    return code;
  }

  /** SIGKILL, which a paused process obeys as well. */
  async kill() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.ended;
  }
}
