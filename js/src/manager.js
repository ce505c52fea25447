// One connection for many namespaces: opening, losing and finding it again.
import { Backoff } from "./backoff.js";
import { Emitter, subscribe } from "./emitter.js";
import { Engine } from "./engine.js";
import { Decoder, Encoder } from "./parser.js";
import { later } from "./platform.js";
import { Socket } from "./socket.js";
import { parseUrl } from "./url.js";

/** @typedef {import("./parser.js").Packet} Packet */

/**
 * The connection that sockets share. Events: see `ManagerEvents`.
 * @template {import("./types.js").EventsMap} [ListenEvents=import("./types.js").DefaultEventsMap]
 * @template {import("./types.js").EventsMap} [EmitEvents=ListenEvents]
 * @extends {Emitter<{}, import("./types.js").ManagerEvents>}
 */
export class Manager extends Emitter {
  /** The session, once `open` was called. @type {Engine} */
  // @ts-expect-error: applications expect it to be there
  engine;
  /** @internal @type {"closed" | "opening" | "open"} */
  _readyState = "closed";
  /** @internal */
  _reconnecting = false;
  /** The sockets by namespace. @internal @type {Record<string, Socket<any, any>>} */
  nsps = Object.create(null);
  #skipReconnect = false;
  /** Ends of what runs for the present attempt or connection. @type {(() => void)[]} */
  #cleanups = [];
  /** @type {any} */
  #encoder;
  /** @type {any} */
  #parser;
  /** @type {any} */
  #decoder;
  #address;
  /** What the methods of these names read and change. @type {any} */
  #settings = {
    reconnection: true,
    reconnectionAttempts: Infinity,
    reconnectionDelay: 1000,
    reconnectionDelayMax: 5000,
    randomizationFactor: 0.5,
    timeout: 20_000,
  };
  #backoff = new Backoff(this.#settings);

  /**
   * @param {string | Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions>} [uri] the server; its path has no meaning here
   * @param {Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions>} [opts]
   */
  constructor(uri, opts) {
    super();
    if (typeof uri === "object") [uri, opts] = [undefined, uri];
    this.#address = parseUrl(uri);
    /** The options; changes hold from the next connection on. @type {any} */
    this.opts = { ...opts, path: opts?.path ?? "/socket.io" };
    this.uri = this.#address.id;
    for (const name of Object.keys(this.#settings)) this.#setting(name, this.opts[name]);
    this.#parser = this.opts.parser ?? { Encoder, Decoder };
    this.#encoder = new this.#parser.Encoder();
    /** Whether sockets connect when they are made. @internal */
    this._autoConnect = this.opts.autoConnect !== false;
    if (this._autoConnect) this.open();
  }

  /**
   * Opens the connection, unless it is there or under way. With `done` the outcome is told to it, and a failure does not
   * begin to reconnect.
   * @param {(error?: Error) => void} [done]
   */
  open(done) {
    if (this._readyState !== "closed") return this;
    this.#cleanup();
    this._readyState = "opening";
    this._reconnecting = this.#skipReconnect = false;
    const engine = (this.engine = new Engine(this.#address, this.opts));
    const failed = (/** @type {any} */ error) => {
      this.#cleanup();
      this._readyState = "closed";
      this._emit("error", error);
      if (done) done(error);
      else this.#reconnect();
    };
    this.#listen(engine, "open", () => {
      this.#onOpen();
      done?.();
    });
    this.#listen(engine, "error", failed);
    // Not every end before the handshake is an error: the application may close the engine.
    this.#listen(engine, "close", (reason, details) => failed(Object.assign(new Error(reason), details)));
    if (this.#settings.timeout !== false) {
      this.#after(this.#settings.timeout, () => {
        failed(new Error("timeout"));
        engine.close();
      });
    }
    return this;
  }

  /** @param {(error?: Error) => void} [done] */
  connect(done) {
    return this.open(done);
  }

  #onOpen() {
    this.#cleanup();
    this._readyState = "open";
    this.#decoder = new this.#parser.Decoder();
    const { engine } = this;
    this.#listen(engine, "ping", () => this._emit("ping"));
    this.#listen(engine, "data", (data) => this.#onData(data));
    this.#listen(engine, "error", (error) => this._emit("error", error));
    this.#listen(engine, "close", (reason, details) => this.#onClose(reason, details));
    this.#listen(this.#decoder, "decoded", (packet) => {
      this.nsps[packet.nsp]?._onPacket(packet);
      this._emit("packet", packet);
    });
    this._emit("open");
  }

  /**
   * The server did what the protocol does not allow.
   * @internal
   * @param {any} error
   */
  _violated(error) {
    this.#onClose("parse error", error);
  }

  /** @param {any} data */
  #onData(data) {
    try {
      this.#decoder.add(data);
    } catch (error) {
      this._violated(error);
    }
  }

  // The settings below are read without an argument and changed with one.

  /** @param {boolean} [value] false also ends a reconnection under way */
  reconnection(value) {
    if (value === false) {
      this.#skipReconnect = true;
      // Nothing but the time until the next attempt is there to be ended.
      if (this._reconnecting) this.#cleanup();
      this._reconnecting = false;
    }
    return this.#setting("reconnection", value);
  }

  /** @param {number} [value] */
  reconnectionAttempts(value) {
    return this.#setting("reconnectionAttempts", value);
  }

  /** @param {number} [value] ms */
  reconnectionDelay(value) {
    return this.#setting("reconnectionDelay", value);
  }

  /** @param {number} [value] ms */
  reconnectionDelayMax(value) {
    return this.#setting("reconnectionDelayMax", value);
  }

  /** @param {number} [value] from 0 to 1 */
  randomizationFactor(value) {
    return this.#setting("randomizationFactor", value);
  }

  /** @param {number | false} [value] ms for an attempt to connect */
  timeout(value) {
    return this.#setting("timeout", value);
  }

  /**
   * @param {string} name
   * @param {any} value
   * @returns {any}
   */
  #setting(name, value) {
    if (value === undefined) return this.#settings[name];
    this.#settings[name] = value;
    return this;
  }

  /**
   * The socket of a namespace; there is one for each.
   * @param {string} nsp
   * @param {import("./types.js").SocketOptions} [opts]
   * @returns {Socket<ListenEvents, EmitEvents>}
   */
  socket(nsp, opts) {
    const known = this.nsps[nsp];
    if (!known) return (this.nsps[nsp] = new Socket(this, nsp, opts));
    if (this._autoConnect && !known.active) known.connect();
    return known;
  }

  /**
   * A socket is not used any more: the connection ends with the last one.
   * @internal
   */
  _left() {
    if (Object.values(this.nsps).some((socket) => socket.active)) return;
    this.#skipReconnect = true;
    this._reconnecting = false;
    this.#onClose("forced close");
  }

  /**
   * @internal
   * @param {Packet} packet
   * @returns {any[]}
   */
  _encode(packet) {
    return this.#encoder.encode(packet);
  }

  /**
   * @internal
   * @param {any[]} frames
   * @param {any} [options]
   */
  _write(frames, options) {
    for (const frame of frames) this.engine.write(frame, options);
  }

  /**
   * @param {string} reason
   * @param {any} [details]
   */
  #onClose(reason, details) {
    this.#cleanup();
    this.engine?.close();
    this.#backoff._reset();
    this._readyState = "closed";
    this._emit("close", reason, details);
    this.#reconnect();
  }

  /** Plans the next attempt, unless none is wanted or a listener has begun one. */
  #reconnect() {
    if (!this.#settings.reconnection || this.#skipReconnect || this._reconnecting || this._readyState !== "closed") return;
    if (this.#backoff._attempts >= this.#settings.reconnectionAttempts) {
      this.#backoff._reset();
      this._emit("reconnect_failed");
      return;
    }
    this._reconnecting = true;
    this.#after(this.#backoff._duration(), () => {
      const attempt = this.#backoff._attempts;
      this._emit("reconnect_attempt", attempt);
      // A listener may have decided otherwise.
      if (this.#skipReconnect) return;
      this.open((error) => {
        if (error) {
          this.#reconnect();
          this._emit("reconnect_error", error);
        } else {
          this.#backoff._reset();
          this._emit("reconnect", attempt);
        }
      });
    });
  }

  /**
   * @param {any} emitter
   * @param {string} event
   * @param {(...args: any[]) => void} listener
   */
  #listen(emitter, event, listener) {
    this.#cleanups.push(subscribe(emitter, event, listener));
  }

  /**
   * @param {number} ms
   * @param {() => void} run
   */
  #after(ms, run) {
    this.#cleanups.push(later(ms, run, this.opts.autoUnref));
  }

  #cleanup() {
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    this.#decoder?.destroy();
  }
}
