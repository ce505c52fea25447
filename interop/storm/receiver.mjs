// One client that listens behind its relay, and stays in its room whatever happens to its connection.
import { loadClient } from "../clients/index.mjs";
import { Heard } from "./ledger.mjs";

/** Comes back soon, as in the half that `trunkline verify` runs. */
export const QUICK = { reconnectionDelay: 200, reconnectionDelayMax: 2_000, forceNew: true };

export class Receiver {
  heard = new Heard();
  counts = { connects: 0, recovered: 0 };
  stray = 0;
  #isIn = false;

  constructor(kind, port, room) {
    this.kind = kind;
    this.room = room;
    const client = loadClient(kind);
    this.socket = client.open(`http://127.0.0.1:${port}`, { ...QUICK, ...client.extra });
    this.socket.on("storm", ({ room: name, n }) => (name === room.name ? this.heard.event(n) : (this.stray += 1)));
    this.joined = new Promise((resolve) => this.socket.on("connect", () => this.#connected().then(resolve)));
  }

  async #connected() {
    this.counts.connects += 1;
    if (this.socket.recovered) this.counts.recovered += 1;
    else {
      this.heard.openGap();
      this.#isIn = false;
    }
    // A connection may be recovered whose join was never confirmed.
    if (this.#isIn) return;
    await new Promise((resolve) => {
      // With a callback, not a promise: the gap ends before the next packet is looked at.
      this.socket.emit("join", this.room.name, (answer) => {
        if (answer?.error) throw new Error(`join: ${JSON.stringify(answer)}`);
        this.heard.closeGap(this.room.next);
        this.#isIn = true;
        resolve();
      });
    });
  }

  /** Whether it is away, or something is still to come. */
  waits() {
    return !this.socket.connected || !this.#isIn || this.heard.judge(this.room).lost.length > 0;
  }

  close() {
    this.socket.disconnect();
  }
}
