// The client that publishes in a room, directly: its acknowledgements tell what the server took.
import { loadClient } from "../clients/index.mjs";
import { REFUSED, TAKEN, UNSURE } from "./ledger.mjs";
import { QUICK } from "./receiver.mjs";

export class Publisher {
  #isIn = false;
  #answers = new Set();

  constructor(port, room) {
    this.room = room;
    const client = loadClient("socket.io-client-4");
    this.socket = client.open(`http://127.0.0.1:${port}`, { ...QUICK, ...client.extra });
    this.joined = new Promise((resolve) => {
      this.socket.on("connect", () => {
        if (this.socket.recovered && this.#isIn) return;
        this.#isIn = false;
        this.socket.emit("join", room.name, () => {
          this.#isIn = true;
          resolve();
        });
      });
    });
  }

  /** Sends the next number, once; without a connection none. */
  publish() {
    const { room, socket } = this;
    if (!socket.connected || !this.#isIn) return void (room.skipped += 1);
    const n = room.fates.push(UNSURE) - 1;
    const answer = socket.emitWithAck("publish", room.name, "storm", { room: room.name, n }).then(
      (outcome) => (room.fates[n] = outcome?.error ? REFUSED : TAKEN),
      () => {}, // disconnected first
    );
    this.#answers.add(answer);
    answer.finally(() => this.#answers.delete(answer));
  }

  /** Resolves when every number is answered, or its connection is gone; or after 15 s. */
  answered() {
    const late = new Promise((resolve) => setTimeout(resolve, 15_000).unref());
    return Promise.race([Promise.all(this.#answers), late]);
  }

  close() {
    this.socket.disconnect();
  }
}
