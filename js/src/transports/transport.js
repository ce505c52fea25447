// What polling and WebSocket have in common: state, address, and how packets and errors are reported.
import { Emitter } from "../emitter.js";
import { encodeQuery } from "../url.js";

/**
 * @typedef {import("../types.js").EngineOptions & { address: import("../url.js").Address, path: string,
 *   cookies?: import("../cookies.js").CookieJar }} TransportOptions
 */

/** Emits `open`, `packet`, `drain`, `error` and `close`. */
export class Transport extends Emitter {
  /** The name in the protocol; each transport has its own. */
  name = "";
  /** @type {"opening" | "open" | "pausing" | "paused" | "closed"} */
  readyState = "opening";

  /**
   * @param {TransportOptions} opts
   * @param {string | null} sid the session, if there is one
   */
  constructor(opts, sid) {
    super();
    this.opts = opts;
    this.query = { ...opts.query };
    this._sid = sid;
  }

  /** Reports the transport as usable. */
  _opened() {
    this.readyState = "open";
    this._emit("open");
  }

  /**
   * Reports the end by the other side.
   * @param {any} details
   */
  _closed(details) {
    this.readyState = "closed";
    this._emit("close", details);
  }

  /**
   * Reports a failure; the engine then closes the transport.
   * @param {string} message
   * @param {any} [description]
   * @param {any} [context]
   */
  _failed(message, description, context) {
    this._emit("error", Object.assign(new Error(message), { type: "TransportError", description, context }));
  }

  /**
   * @param {"http" | "ws"} scheme
   * @param {boolean} stamped whether the address must be new, so that nobody answers from a cache
   */
  _url(scheme, stamped) {
    const { address, path, timestampParam = "t" } = this.opts;
    /** @type {Record<string, any>} */
    const query = { ...this.query, EIO: 4, transport: this.name };
    if (this._sid) query.sid = this._sid;
    if (stamped) query[timestampParam] = Math.random().toString(36).slice(2);
    return `${scheme}${address.secure ? "s" : ""}://${address.host}${path}?${encodeQuery(query)}`;
  }
}
