// What is kept of events while there is no connection: policy, bounds, and what happens to the rest.

/**
 * One packet that waits, encoded already, so that its size is known.
 * @typedef {{ packet: import("./parser.js").Packet, frames: any[] }} Entry
 */

/** @typedef {"full" | "age" | "none"} DropReason */

/** The queue of one socket; `drop` hears of every packet that is given up. */
export class OfflineBuffer {
  /** @type {{ entry: Entry, size: number, since: number }[]} */
  #items = [];
  #bytes = 0;

  /**
   * @param {import("./types.js").SocketOptions["offlineBuffer"]} options
   * @param {(packet: import("./parser.js").Packet, why: DropReason) => void} drop
   */
  constructor(options, drop) {
    const settings = typeof options === "string" ? { policy: options } : options;
    this._policy = settings?.policy ?? "all";
    this._maxCount = settings?.maxCount ?? 10_000;
    this._maxBytes = settings?.maxBytes ?? 16 * 1024 * 1024;
    this._maxAge = settings?.maxAge ?? Infinity;
    this._drop = drop;
  }

  /** @param {Entry} entry */
  push(entry) {
    const size = sizeOf(entry.frames);
    this.#expire();
    const keepsLast = this._policy === "last" && size <= this._maxBytes && this._maxCount > 0;
    while (keepsLast && this.#items.length && !this.#fits(size)) this._drop(this.#shift(), "full");
    if (this._policy === "none") this._drop(entry.packet, "none");
    else if (!this.#fits(size)) this._drop(entry.packet, "full");
    else {
      this.#items.push({ entry, size, since: Date.now() });
      this.#bytes += size;
    }
  }

  /** Empties the buffer and returns what was in it, oldest first. */
  _take() {
    this.#expire();
    const entries = this.#items.map(({ entry }) => entry);
    this.#items = [];
    this.#bytes = 0;
    return entries;
  }

  /** The packets that wait. */
  _packets() {
    return this.#items.map(({ entry }) => entry.packet);
  }

  /**
   * Whether a packet with this acknowledgement id waits.
   * @param {number} id
   */
  _has(id) {
    return this.#items.some(({ entry }) => entry.packet.id === id);
  }

  /**
   * Takes out the packet with this acknowledgement id, if it still waits.
   * @param {number} id
   */
  _remove(id) {
    this.#items = this.#items.filter(({ entry, size }) => {
      const stays = entry.packet.id !== id;
      if (!stays) this.#bytes -= size;
      return stays;
    });
  }

  /** @param {number} size */
  #fits(size) {
    return this.#items.length < this._maxCount && this.#bytes + size <= this._maxBytes;
  }

  #shift() {
    const { entry, size } = /** @type {any} */ (this.#items.shift());
    this.#bytes -= size;
    return entry.packet;
  }

  #expire() {
    const oldest = Date.now() - this._maxAge;
    while (this.#items.length && this.#items[0].since < oldest) this._drop(this.#shift(), "age");
  }
}

/**
 * Text counts by its UTF-16 length, which needs no encoding: a bound, not a measure.
 * @param {any[]} frames
 */
function sizeOf(frames) {
  return frames.reduce((sum, frame) => sum + (frame.length ?? frame.byteLength ?? frame.size), 0);
}
