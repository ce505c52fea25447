// Events that are sent until they are acknowledged: one at a time, in order, a limited number of times.
import { guard } from "./platform.js";

/**
 * @typedef {{ _args: any[], _flags: any, _tries: number, _pending: boolean, _id?: number, _ack: ((...args: any[]) => void) | undefined }} Retried
 */

/** The queue of one socket with the option `retries`. */
export class RetryQueue {
  /** Whether the server knows a repeat by the id of the first try. @type {boolean | undefined} */
  _keepsIds;
  /** @type {Retried[]} */
  #items = [];

  /**
   * @param {number} retries how often an event is sent again
   * @param {number} maxCount events that may wait
   * @param {() => boolean} ready whether there is a connection
   * @param {(args: any[], flags: any, id?: number) => number | undefined} send with the id of an earlier try, if that is to be kept; gives the id
   */
  constructor(retries, maxCount, ready, send) {
    this._retries = retries;
    this._ready = ready;
    this._maxCount = maxCount;
    this._send = send;
  }

  /**
   * @param {any[]} args
   * @param {any} flags
   */
  push(args, flags) {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    if (this.#items.length >= this._maxCount) return ack?.(new Error("too many events"));
    this.#items.push({ _args: args, _flags: flags, _tries: 0, _pending: false, _ack: ack });
    this._drain();
  }

  /** Sends the first event, unless its answer is awaited: that ends with the answer, in time, or with the connection. */
  _drain() {
    const [item] = this.#items;
    if (!item || item._pending || !this._ready()) return;
    item._pending = true;
    item._tries += 1;
    const attempt = item._tries;
    const finish = (/** @type {any[]} */ ...outcome) => {
      this.#items.shift();
      guard(() => item._ack?.(...outcome));
      this._drain();
    };
    const answered = (/** @type {any} */ error, /** @type {any[]} */ ...values) => {
      // An answer to an earlier attempt counts as one; its failure does not.
      if (item !== this.#items[0] || (error && attempt !== item._tries)) return;
      item._pending = false;
      if (!error || attempt > this._retries) finish(error, ...values);
      else this._drain();
    };
    answered.withError = true;
    try {
      item._id = this._send([...item._args, answered], item._flags, this._keepsIds ? item._id : undefined);
    } catch (error) {
      // What cannot be written now never can be, and must not hold up the others.
      finish(error);
      throw error;
    }
  }
}
