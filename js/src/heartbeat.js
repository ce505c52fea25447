// Whether the server is still heard: it pings, and a silence that is too long ends the connection.
import { later } from "./platform.js";

/** The clock of one connection; `lost` is called once. */
export class Heartbeat {
  #cancel = () => {};
  #deadline = 0;

  /** @param {() => void} lost */
  constructor(lost) {
    this._lost = lost;
  }

  /**
   * The server was heard: it may now be silent for `ms`.
   * @param {number} ms
   * @param {boolean} [unref] whether Node.js may end while this timer runs
   */
  _heard(ms, unref) {
    this.#cancel();
    this.#deadline = Date.now() + ms;
    this.#cancel = later(ms, () => this.#end(), unref);
  }

  /**
   * Whether the deadline is over although no timer said so: browsers hold back the timers of a hidden page or a sleeping
   * machine. The loss is then reported soon after.
   */
  _expired() {
    const isOver = Date.now() >= this.#deadline;
    if (isOver) queueMicrotask(() => this.#end());
    return isOver;
  }

  _stop() {
    this.#cancel();
    this.#deadline = 0;
  }

  #end() {
    if (!this.#deadline) return;
    this._stop();
    this._lost();
  }
}
