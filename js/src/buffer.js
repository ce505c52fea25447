// What is kept of events while there is no connection: policy, bounds, and what happens to the rest.

/** @typedef {import("./parser.js").Packet} Packet */

/** The queue of one socket; `drop` hears of every packet that is given up. */
export class OfflineBuffer {
  /** Encoded already, so that the size is known. @type {{ packet: Packet, frames: any[], size: number, _since: number }[]} */
  #items = [];
  #bytes = 0;

  /**
   * @param {import("./types.js").SocketOptions["offlineBuffer"]} options
   * @param {(packet: Packet, why: "full" | "age") => void} drop
   */
  constructor(options, drop) {
    // A policy alone has no other settings.
    const { policy = options, maxCount = 10_000, maxBytes = 16 << 20, maxAge = Infinity } = /** @type {any} */ (options ?? {});
    this._keepsLast = policy === "last";
    this._maxCount = maxCount;
    this._kept = policy === "none" ? 0 : maxCount;
    this._maxBytes = maxBytes;
    this._maxAge = maxAge;
    this._drop = drop;
  }

  /**
   * @param {Packet} packet
   * @param {any[]} frames
   */
  _push(packet, frames) {
    // Text counts by its UTF-16 length, which needs no encoding: a bound, not a measure.
    const size = frames.reduce((sum, frame) => sum + (frame.length ?? frame.byteLength ?? frame.size), 0);
    this.#expire();
    this.#items.push({ packet, frames, size, _since: Date.now() });
    this.#bytes += size;
    const fromFront = this._keepsLast && size <= this._maxBytes;
    while (this.#items.length > this._kept || this.#bytes > this._maxBytes) this.#shorten("full", fromFront);
  }

  /** Empties the buffer and returns what was in it, oldest first. */
  _take() {
    this.#expire();
    this.#bytes = 0;
    return this.#items.splice(0);
  }

  /** The packets that wait. */
  _packets() {
    return this.#items.map(({ packet }) => packet);
  }

  /**
   * Takes out the packet with this acknowledgement id, if it still waits.
   * @param {number} id
   */
  _remove(id) {
    const at = this.#items.findIndex(({ packet }) => packet.id === id);
    if (at >= 0) this.#bytes -= this.#items.splice(at, 1)[0].size;
  }

  #expire() {
    while (this.#items[0]?._since < Date.now() - this._maxAge) this.#shorten("age", true);
  }

  /**
   * @param {"full" | "age"} why
   * @param {boolean} fromFront
   */
  #shorten(why, fromFront) {
    const [{ packet, size }] = this.#items.splice(fromFront ? 0 : -1, 1);
    this.#bytes -= size;
    this._drop(packet, why);
  }
}
