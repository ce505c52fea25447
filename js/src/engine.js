// One Engine.IO session: handshake, heartbeat, the queue of packets, the upgrade from polling to WebSocket.
import { CookieJar } from "./cookies.js";
import { Emitter } from "./emitter.js";
import { Heartbeat } from "./heartbeat.js";
import { sizeInPayload } from "./packets.js";
import { isNode, later } from "./platform.js";
import { Polling } from "./transports/polling.js";
import { WebSocketTransport } from "./transports/websocket.js";

/** @typedef {import("./packets.js").EnginePacket} EnginePacket */

/** Whether the last connection got as far as WebSocket, for `rememberUpgrade`. */
let webSocketWorked = false;

/**
 * Events: `open`, `handshake`, `packet`, `packetCreate`, `data`, `message`, `ping`, `pong`, `drain`,
 * `upgrading`, `upgrade`, `upgradeError`, `error`, `close`.
 * @extends {Emitter<import("./types.js").EngineEvents, {}>}
 */
export class Engine extends Emitter {
  /** @type {"opening" | "open" | "closing" | "closed"} */
  readyState = "opening";
  /** The session's id, a secret between this client and the server. @type {string | null} */
  id = null;
  /** @type {any} */
  transport;
  /** Packets that no transport has taken yet. @type {EnginePacket[]} */
  writeBuffer = [];
  upgrading = false;
  /** How long the server may be silent, in ms. */
  #silence = 0;
  /** Bytes that the server takes in one body; nothing is more than the undefined of one that does not say. @type {any} */
  #maxPayload;
  /** How many packets of `writeBuffer` the transport is sending. */
  #sending = 0;
  #beat = new Heartbeat(() => this.#end("ping timeout"));

  /**
   * Opens at once; whatever happens is reported later than the constructor's end.
   * @param {import("./url.js").Address} address
   * @param {import("./types.js").EngineOptions} opts
   */
  constructor(address, opts) {
    super();
    const path = (opts.path ?? "/engine.io").replace(/\/$/, "") + (opts.addTrailingSlash === false ? "" : "/");
    /** @type {any} */
    this.opts = { WebSocket: globalThis.WebSocket, ...opts, path, address };
    if (isNode && opts.withCredentials) this.opts.cookies = new CookieJar();
    /** Those that are known and possible here, in the order of preference. @type {string[]} */
    this.transports = (opts.transports ?? ["polling", "websocket"]).filter(
      (name) => name === "polling" || (name === "websocket" && this.opts.WebSocket),
    );
    this.#listenToPage();
    this.#open();
  }

  #open() {
    const [first] = this.transports;
    if (!first) return queueMicrotask(() => this.#fail(new Error("No transports available")));
    const remembered = this.opts.rememberUpgrade && webSocketWorked && this.transports.includes("websocket");
    this.#use(this.#create(remembered ? "websocket" : first));
    this.transport.open();
  }

  /** @param {string} name */
  #create(name) {
    const Transport = name === "polling" ? Polling : WebSocketTransport;
    return new Transport({ ...this.opts, ...this.opts.transportOptions?.[name] }, this.id);
  }

  /** @param {any} transport */
  #use(transport) {
    this.transport?.off();
    this.transport = transport;
    transport
      .on("packet", (/** @type {EnginePacket} */ packet) => this.#onPacket(packet))
      .on("drain", () => this.#onDrain())
      .on("error", (/** @type {Error} */ error) => this.#fail(error))
      .on("close", (/** @type {any} */ details) => this.#onClose(details));
  }

  /** @param {EnginePacket} packet */
  #onPacket(packet) {
    if (this.readyState === "closed") return;
    const { type, data } = packet;
    this._emit("packet", packet);
    if (type === "open") this.#onHandshake(data);
    else if (type === "ping") {
      this.#sendPacket("pong", data);
      this._emit("ping");
      this._emit("pong");
      this.#heard();
    } else if (type === "message") {
      this._emit("data", data);
      this._emit("message", data);
    }
  }

  /** @param {string} json */
  #onHandshake(json) {
    let handshake;
    try {
      handshake = JSON.parse(json);
    } catch {}
    const { sid, upgrades, pingInterval, pingTimeout, maxPayload } = handshake ?? {};
    const isValid = typeof sid === "string" && Array.isArray(upgrades) && pingInterval >= 0 && pingTimeout >= 0;
    if (!isValid || this.readyState !== "opening") return this.#fail(new Error("server error"));
    this.id = this.transport._sid = sid;
    this.#silence = pingInterval + pingTimeout;
    this.#maxPayload = maxPayload;
    this.#heard();
    this.readyState = "open";
    this._emit("handshake", handshake);
    webSocketWorked = this.transport.name === "websocket";
    this._emit("open");
    this.#flush();
    const canUpgrade = this.transport.name === "polling" && this.transports.includes("websocket");
    if (canUpgrade && this.opts.upgrade !== false && upgrades.includes("websocket")) this.#probe();
  }

  #heard() {
    this.#beat._heard(this.#silence, this.opts.autoUnref);
  }

  /**
   * Whether the server has been silent for too long, even if no timer has noticed yet.
   * @internal
   */
  _hasPingExpired() {
    return this.#beat._expired();
  }

  /** Tries WebSocket beside polling and moves there once the server has answered on it. */
  #probe() {
    if (this.readyState !== "open") return;
    const old = this.transport;
    const next = this.#create("websocket");
    const stop = () => {
      cancel();
      this.off("close", giveUp);
      next.off();
    };
    const giveUp = (/** @type {any} */ error) => {
      stop();
      next.close();
      if (this.upgrading && this.readyState !== "closed") old._resume();
      this.upgrading = false;
      this._emit("upgradeError", Object.assign(new Error("probe error"), { transport: next.name, description: error }));
      this.#flush();
    };
    const cancel = later(this.opts.upgradeTimeout ?? 10_000, () => giveUp("timeout"), this.opts.autoUnref);
    next.once("open", () => next.send([{ type: "ping", data: "probe" }]));
    next.once("packet", (/** @type {EnginePacket} */ { type, data }) => {
      if (type !== "pong" || data !== "probe") return giveUp("no answer");
      this.upgrading = true;
      this._emit("upgrading", next);
      // A listener may have closed the session, which gave this attempt up.
      if (!this.upgrading) return;
      old._pause(() => {
        stop();
        this.#use(next);
        webSocketWorked = true;
        this.upgrading = false;
        // First of all that waits: the server moves over when it sees this packet.
        this.writeBuffer.unshift({ type: "upgrade" });
        this.#flush();
        this._emit("upgrade", next);
      });
    });
    next.once("error", giveUp);
    next.once("close", giveUp);
    this.once("close", giveUp);
    next.open();
  }

  /**
   * Queues one message.
   * @param {any} data text or binary
   * @param {any} [options]
   */
  write(data, options) {
    this.#sendPacket("message", data, options);
    return this;
  }

  /**
   * @param {import("./packets.js").EnginePacketType} type
   * @param {any} data
   * @param {any} [options]
   */
  #sendPacket(type, data, options) {
    if (this.readyState === "closing" || this.readyState === "closed") return;
    const packet = { type, data, options };
    this._emit("packetCreate", packet);
    this.writeBuffer.push(packet);
    this.#flush();
  }

  #flush() {
    const { transport, upgrading, writeBuffer } = this;
    if (transport?.readyState !== "open" || upgrading || this.#sending || !writeBuffer.length) return;
    const packets = this.#writable();
    this.#sending = packets.length;
    transport.send(packets);
  }

  /** As many packets as the server takes in one body, at least one. */
  #writable() {
    const { transport, writeBuffer } = this;
    if (transport.name !== "polling") return writeBuffer.slice();
    let size = -1;
    const end = writeBuffer.findIndex((packet) => (size += sizeInPayload(packet)) > this.#maxPayload);
    return writeBuffer.slice(0, end < 0 ? undefined : end || 1);
  }

  #onDrain() {
    this.writeBuffer.splice(0, this.#sending);
    this.#sending = 0;
    if (this.writeBuffer.length) this.#flush();
    else this._emit("drain");
  }

  /** Closes once all that waits has been sent and an upgrade under way has ended; a silent server cannot delay it for ever. */
  close() {
    const opened = this.readyState === "open";
    if (!opened && this.readyState !== "opening") return this;
    this.readyState = "closing";
    const close = () => {
      if (this.upgrading) {
        this.once("upgrade", close);
        this.once("upgradeError", close);
      } else this.#end("forced close");
    };
    if (opened && this.writeBuffer.length) this.once("drain", close);
    else close();
    return this;
  }

  /**
   * The other side, or the network, has ended the connection. Before the handshake that is a failure, after which another
   * transport may be tried.
   * @param {any} details
   */
  #onClose(details) {
    const reason = "transport close";
    if (this.readyState === "opening") this.#fail(Object.assign(new Error(reason), details));
    else this.#end(reason, details);
  }

  /** @param {Error} error */
  #fail(error) {
    webSocketWorked = false;
    if (this.opts.tryAllTransports && this.transports.length > 1 && this.readyState === "opening") {
      this.transport.off();
      this.transport.close();
      this.transports = this.transports.filter((name) => name !== this.transport.name);
      return this.#open();
    }
    if (this.readyState === "closed") return;
    this._emit("error", error);
    this.#end("transport error", error);
  }

  /**
   * @param {string} reason
   * @param {any} [details]
   */
  #end(reason, details) {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    this.#beat._stop();
    this.transport?.off();
    this.transport?.close();
    this.id = null;
    this._emit("close", reason, details);
    this.writeBuffer = [];
    this.#sending = 0;
  }

  /** A page that goes offline need not wait for a heartbeat; one on the same machine does not need the network. */
  #listenToPage() {
    const { addEventListener, removeEventListener } = globalThis;
    if (!addEventListener || this.opts.address.hostname === "localhost") return;
    const offline = () => this.#onClose({ description: "network connection lost" });
    addEventListener("offline", offline);
    this.once("close", () => removeEventListener("offline", offline));
  }
}
