// The connection to the server: Socket.IO's client, which the server brings along, and what state the line is in.

/** How long the server may take to answer, in milliseconds; longer than another window may take to confirm. */
const ANSWER_MS = 8_000;

/** The server's client, from below its path. */
export async function loadClient() {
  const answer = await fetch("/stats", { cache: "no-store" });
  const { path } = await answer.json();
  const { io } = await import(`${path}/socket.io.esm.min.js`);
  return { io, path };
}

/**
 * One connection for all rooms. `onChange` is told of each change of `phase` and `transport`; `handlers` are called by
 * event name.
 */
export class Line {
  /** @type {"connecting" | "open" | "lost" | "ended"} */
  phase = "connecting";
  /** `websocket`, `polling`, or nothing while there is none. */
  transport = "";
  /** How often it was tried to come back. */
  attempts = 0;
  /** Whether the server has admitted this person over this connection. */
  isReady = false;

  constructor({ io, path }, auth, { onChange, onRefused, handlers }) {
    this.onChange = onChange;
    const options = { path: `${path}/`, auth, forceNew: true, reconnectionDelay: 300, reconnectionDelayMax: 3_000 };
    this.socket = io("/chat", options);
    this.socket.on("connect", () => this.#connected());
    this.socket.on("disconnect", (reason) => this.#disconnected(reason));
    this.socket.on("connect_error", (error) => {
      // Refused, for whatever reason; otherwise it is the line's fault, and the client tries again.
      if (!this.socket.active) {
        this.end();
        onRefused(error.message);
      } else this.#change("lost");
    });
    this.socket.io.on("reconnect_attempt", (attempts) => {
      this.attempts = attempts;
      onChange();
    });
    for (const [event, handler] of Object.entries(handlers)) this.socket.on(event, handler);
  }

  /** Asks for something; the server's answer. Rejects when the line breaks before it. */
  async ask(event, ...args) {
    if (!this.socket.connected) throw new Error("The line is broken.");
    return this.socket.timeout(ANSWER_MS).emitWithAck(event, ...args);
  }

  /** Tells something that is worth nothing later. */
  tell(event, ...args) {
    if (this.socket.connected) this.socket.volatile.emit(event, ...args);
  }

  end() {
    this.socket.disconnect();
    this.#change("ended");
  }

  #connected() {
    const { engine } = this.socket.io;
    this.transport = engine.transport.name;
    engine.on("upgrade", ({ name }) => {
      this.transport = name;
      this.onChange();
    });
    this.attempts = 0;
    this.#change("open");
  }

  #disconnected(reason) {
    this.isReady = false;
    this.transport = "";
    if (this.phase === "ended") return;
    this.#change("lost");
    // The server ends connections in order when it stops; the client comes back by itself after all other reasons.
    if (reason === "io server disconnect") this.socket.connect();
  }

  #change(phase) {
    if (this.phase === "ended" && phase !== "ended") return;
    this.phase = phase;
    this.onChange();
  }
}
