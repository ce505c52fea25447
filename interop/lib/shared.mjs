// Servers that many cases share: one for each set of flags, and one more of it with quick heartbeats.
import { serverFlags } from "./matrix.mjs";
import { startServer } from "./server.mjs";

/** Heartbeat of the quick servers: a loss is noticed after interval plus timeout, in ms. */
const INTERVAL_MS = 300;
const TIMEOUT_MS = 1_200;
export const FAST_MS = INTERVAL_MS + TIMEOUT_MS;
export const FAST_FLAGS = ["--ping-interval", String(INTERVAL_MS), "--ping-timeout", String(TIMEOUT_MS)];

/**
 * The usual servers ping every few seconds: the asyncio Python client on polling leaves its last request open
 * when it disconnects, and ends only when that is answered.
 */
const USUAL_FLAGS = ["--ping-interval", "4000", "--ping-timeout", "20000"];

/** Starts servers when they are first needed and ends them all together. */
export class SharedServers {
  #started = new Map();

  constructor(command, certificate) {
    this.command = command;
    this.certificate = certificate;
  }

  /** What a worker must know to run the cases of `group`. */
  async settings(group) {
    const flags = serverFlags(group, this.certificate);
    const [usual, fast] = await Promise.all([
      this.#server([...flags, ...USUAL_FLAGS]),
      this.#server([...flags, ...FAST_FLAGS]),
    ]);
    return {
      command: this.command,
      flags,
      certificate: this.certificate,
      port: usual.port,
      fastPort: fast.port,
      fastFlags: FAST_FLAGS,
      fastMs: FAST_MS,
    };
  }

  /** Ends every server; each must obey SIGTERM with exit code 0, after all that it has been through. */
  async end(report) {
    for (const [flags, starting] of this.#started) {
      const server = await starting.catch(() => undefined);
      if (!server) continue;
      let failure;
      try {
        const code = await server.stop();
        if (code !== 0) failure = `SIGTERM was answered with ${code}`;
      } catch (error) {
        failure = error.message;
      }
      report.add(`server-ends/${flags.replace(/--tls-cert \S+ --tls-key \S+/, "tls")}`, failure);
    }
  }

  #server(flags) {
    const key = flags.join(" ");
    if (!this.#started.has(key)) this.#started.set(key, startServer(this.command, flags));
    return this.#started.get(key);
  }
}
