// The server under test: any command that listens at its port; killed without warning, and started again.
import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";

const START_MS = 15_000;

export class Server {
  #child;
  #ended = Promise.resolve();
  /** The last of what it wrote. */
  said = "";

  constructor(command, port) {
    this.words = command.split(/\s+/);
    this.port = port;
  }

  /** Resolves when it accepts connections. */
  async start() {
    const [program, ...words] = this.words;
    const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    for (const output of [child.stdout, child.stderr]) {
      output.on("data", (chunk) => (this.said = (this.said + chunk).slice(-2_000)));
    }
    let over;
    this.#ended = new Promise((resolve) => child.once("close", resolve).once("error", resolve)).then(() => (over = true));
    const until = Date.now() + START_MS;
    while (!(await accepts(this.port))) {
      if (over || Date.now() > until) throw new Error(`the server does not listen at ${this.port}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** SIGKILL: it cannot write anything more. */
  async kill() {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true))).once("error", () => resolve(false));
  });
}

/** A port that was free a moment ago: below those that the system gives to outgoing connections, which could take it. */
export async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const listener = createServer();
    const free = await new Promise((resolve) => {
      listener.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => listener.close(resolve));
    return port;
  }
}
