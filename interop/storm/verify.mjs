// The half of the Rust client: `trunkline verify` beside us, against the same server.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Starts it; `started` resolves when its receivers are in their rooms, `report` with what it found. */
export function startVerify(program, port, { clients, rooms, rate, seconds, cuts, settle, halfOpen, strict }) {
  const flags = {
    clients, rooms, rate, duration: `${seconds}s`, settle: `${settle}s`,
    "cuts-per-second": cuts, "half-open": halfOpen, "half-open-time": "3s", "reconnect-delay": "200ms",
  };
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const address = `http://127.0.0.1:${port}`;
  const child = spawn(program, ["verify", address, "--json", ...words, ...(strict ? ["--strict"] : [])], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  const ended = new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  const started = new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      err += `${line}\n`;
      if (line.includes(" receivers in ")) resolve();
    });
    ended.then(() => reject(new Error(`trunkline verify: ${err}`)), reject);
  });
  const report = ended.then(() => {
    if (!out) throw new Error(`trunkline verify said nothing: ${err}`);
    return JSON.parse(out);
  });
  for (const promise of [started, report]) promise.catch(() => {}); // whoever awaits it hears of it
  return { started, report, end: () => child.kill("SIGKILL") };
}
