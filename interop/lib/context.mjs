// What a scenario works with: a server's address, connected sockets, and the duty to end all of it.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { TRANSPORTS, serverFlags } from "./matrix.mjs";
import { startServer } from "./server.mjs";
import { Inbox, once, plain, within } from "./tools.mjs";

/** Longest wait for one step; a whole case has its own deadline in run-cases.mjs. */
export const STEP_MS = 12_000;

/** Events that a connected socket collects from its first moment on, so that none is missed. */
const COLLECTED = ["auth", "echo", "answer", "answers", "said", "n", "gone", "disconnect"];

/** The context of one case. */
export class Context {
  #endings = [];

  constructor(group, client, settings) {
    this.group = group;
    this.client = client;
    this.settings = settings;
    this.transports = TRANSPORTS[group.transport];
  }

  url(port, namespace = "") {
    return `${this.group.tls ? "https" : "http"}://127.0.0.1:${port}${namespace}`;
  }

  /** A socket of the client under test, not connected yet. `credentials` go the way its generation has. */
  socket({ namespace = "", port = this.settings.port, credentials, ...options } = {}) {
    const socket = this.client.open(this.url(port, namespace), {
      transports: this.transports,
      forceNew: true,
      reconnection: false,
      ...this.client.extra,
      ...(credentials ? this.client.credentials(credentials) : {}),
      ...options,
    });
    this.defer(() => (socket.io.reconnection(false), socket.io.engine?.close(), socket.close()));
    return collect(socket);
  }

  /** A connected socket. */
  async connect(options) {
    const socket = this.socket(options);
    await connected(socket);
    return socket;
  }

  /** Another namespace over the connection that `socket` has. */
  async sibling(socket, namespace) {
    const other = collect(socket.io.socket(namespace));
    await connected(other);
    return other;
  }

  /** A server of this case's own, with the group's flags and `extra` ones. */
  async server(extra = [], options = {}) {
    const server = await startServer(
      this.settings.command,
      [...serverFlags(this.group, this.settings.certificate), ...extra],
      options,
    );
    this.defer(() => server.kill());
    return server;
  }

  /** The client in a process of its own (which can then be stopped); resolves with its child and socket id. */
  async hold(port) {
    const script = fileURLToPath(new URL("../hold.mjs", import.meta.url));
    const child = spawn(process.execPath, [script, JSON.stringify({ group: this.group, port })], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "close");
    this.defer(() => (child.kill("SIGKILL"), ended));
    const line = await within(
      STEP_MS,
      "the held client's id",
      once(createInterface({ input: child.stdout }), "line"),
    );
    return { child, id: line[0] };
  }

  defer(ending) {
    this.#endings.push(ending);
  }

  async end() {
    for (const ending of this.#endings.reverse()) await ending();
  }
}

/** Resolves when `socket` is connected, rejects with the error that it reports instead. */
export function connected(socket) {
  if (socket.connected) return Promise.resolve();
  const refusal = Promise.race(
    ["connect_error", "error"].map(async (event) => {
      const [error] = await once(socket, event);
      throw error instanceof Error ? error : new Error(`${event}: ${JSON.stringify(error)}`);
    }),
  );
  return within(STEP_MS, "connect", Promise.race([once(socket, "connect"), refusal]));
}

/** The arguments of the next `event` that `socket` collected or will collect, in comparable form. */
export async function next(socket, event) {
  return plain(await within(STEP_MS, `event ${event}`, socket.inboxes[event].take()));
}

/** Emits with an acknowledgement and resolves with its arguments, in comparable form. */
export function call(socket, event, ...args) {
  return callWithin(STEP_MS, socket, event, ...args);
}

/** The same with another limit. */
export async function callWithin(ms, socket, event, ...args) {
  const answer = new Promise((resolve) => socket.emit(event, ...args, (...values) => resolve(values)));
  return plain(await within(ms, `acknowledgement of ${event}`, answer));
}

function collect(socket) {
  socket.inboxes = {};
  for (const event of COLLECTED) {
    const inbox = (socket.inboxes[event] = new Inbox());
    socket.on(event, (...args) => inbox.push(args));
  }
  return socket;
}
