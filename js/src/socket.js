// One namespace: events out and in, acknowledgements, what waits while there is no connection, recovery.
import { OfflineBuffer } from "./buffer.js";
import { Emitter, subscribe } from "./emitter.js";
import { ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, RESERVED } from "./parser.js";
import { guard, later } from "./platform.js";
import { RetryQueue } from "./retry.js";

/** @typedef {import("./types.js").EventsMap} EventsMap */
/** @typedef {import("./parser.js").Packet} Packet */
/** @typedef {(event: string, ...args: any[]) => void} AnyListener */

/** Events that are kept until the server says that the socket is connected. */
const MAX_EARLY = 10_000;

/**
 * A socket in one namespace. `ListenEvents` are the events that the server sends, `EmitEvents` those that it takes.
 * @template {EventsMap} [ListenEvents=import("./types.js").DefaultEventsMap]
 * @template {EventsMap} [EmitEvents=ListenEvents]
 * @extends {Emitter<ListenEvents, import("./types.js").SocketEvents>}
 */
export class Socket extends Emitter {
  /** The socket's public id while connected. @type {string | undefined} */
  id;
  connected = false;
  /** Whether the last connection went on where the one before had ended, with nothing missed. */
  recovered = false;
  /** Events that came before the server's word that this socket is connected. @type {any[][]} */
  receiveBuffer = [];
  /** Acknowledgements that are owed to us. @type {Map<number, any>} */
  #acks = new Map();
  #nextAck = 0;
  /** What holds for the next emit only. @type {any} */
  #flags = {};
  /** Ends of what is listened to; there are some while the socket is active. @type {(() => void)[] | undefined} */
  #subscriptions;
  /** The connection on which a CONNECT is not answered yet, and the `#subscriptions` when it was sent. @type {any} */
  #askedOn;
  /** @type {any} */
  #askedBy;
  /** The connection on which what comes before the next CONNECT is of the session that was left. @type {any} */
  #leftOn;
  /** The session's secret for recovery, and the last event of it that was seen. @type {string | undefined} */
  #pid;
  /** @type {string | undefined} */
  #offset;
  /** The listeners of every event, under an empty name. @type {Emitter<any, any>} */
  #any = new Emitter();
  /** @type {Emitter<any, any>} */
  #anyOutgoing = new Emitter();
  #buffer;
  /** @type {RetryQueue | undefined} */
  #retry;

  /**
   * Applications get sockets from `io()` or `manager.socket()`.
   * @param {import("./manager.js").Manager<any, any>} io
   * @param {string} nsp
   * @param {import("./types.js").SocketOptions} [opts]
   */
  constructor(io, nsp, opts = {}) {
    super();
    this.io = io;
    this.nsp = nsp;
    this.opts = opts;
    /** Sent when connecting; a change holds from the next time on. @type {import("./types.js").AuthOption | undefined} */
    this.auth = opts.auth;
    this.#buffer = new OfflineBuffer(opts.offlineBuffer, (packet, why) => this.#dropped(packet, why));
    const { retries } = opts;
    const send = (/** @type {[any[], any, number?]} */ ...args) => this.#emit(...args);
    if (retries) this.#retry = new RetryQueue(retries, this.#buffer._maxCount, () => this.#isReachable(), send);
    if (io._autoConnect) this.connect();
  }

  /** Whether the socket is connected or will be again by itself. */
  get active() {
    return !!this.#subscriptions;
  }

  get disconnected() {
    return !this.connected;
  }

  /** The packets that wait for a connection; an empty array may be assigned. */
  get sendBuffer() {
    return this.#buffer._packets();
  }

  set sendBuffer(packets) {
    this.#buffer._take();
    for (const packet of packets) this.#buffer._push(packet, this.io._encode(packet));
  }

  connect() {
    const { io, active } = this;
    this.#subscriptions ??= [
      subscribe(io, "open", () => this.#onOpen()),
      subscribe(io, "error", (error) => this.connected || this._emit("connect_error", error)),
      subscribe(io, "close", (reason, details) => this.#onClose(reason, details)),
    ];
    if (!io._reconnecting) io.open();
    if (!active && io._readyState === "open") this.#onOpen();
    return this;
  }

  open() {
    return this.connect();
  }

  /** Leaves the namespace for good; `connect()` enters it again. The connection ends with its last socket. */
  disconnect() {
    const { connected } = this;
    // A server that has not answered yet knows of no session that could end: `_onPacket` tells it then.
    if (connected) this.#leave();
    this.#destroy();
    if (connected) this.#onClose("io client disconnect");
    return this;
  }

  close() {
    return this.disconnect();
  }

  /**
   * Sends an event; a function in the last place is its acknowledgement. Throws if the name is the library's own or an
   * argument cannot be written as JSON.
   * @template {import("./types.js").EventNames<EmitEvents>} E
   * @param {E} event
   * @param {import("./types.js").EventParams<EmitEvents, E>} args
   */
  emit(event, ...args) {
    if (RESERVED.has(/** @type {any} */ (event))) {
      throw new Error(`"${String(event)}" is a reserved event name`);
    }
    const flags = this.#flags;
    this.#flags = {};
    if (this.#retry && !flags.volatile) this.#retry.push([event, ...args], flags);
    else this.#emit([event, ...args], flags);
    return this;
  }

  /**
   * Sends an event and resolves with the first value of its acknowledgement. Rejects when `timeout()` is over, or when the
   * connection is lost before the answer.
   * @template {import("./types.js").EventNames<EmitEvents>} E
   * @param {E} event
   * @param {import("./types.js").AllButLast<import("./types.js").EventParams<EmitEvents, E>>} args
   * @returns {Promise<import("./types.js").AckValue<import("./types.js").Last<import("./types.js").EventParams<EmitEvents, E>>>>}
   */
  emitWithAck(event, ...args) {
    return new Promise((resolve, reject) => {
      const ack = (/** @type {any} */ error, /** @type {any} */ value) => (error ? reject(error) : resolve(value));
      ack.withError = true;
      /** @type {any} */ (this).emit(event, ...args, ack);
    });
  }

  /**
   * Sends the event `message`.
   * @param {any[]} args
   */
  send(...args) {
    return /** @type {any} */ (this).emit("message", ...args);
  }

  /**
   * The next event's acknowledgement is called within `ms` milliseconds, with an error in front if none came.
   * @param {number} ms
   * @returns {Socket<ListenEvents, import("./types.js").WithAckErrors<EmitEvents>>}
   */
  timeout(ms) {
    this.#flags.timeout = ms;
    return /** @type {any} */ (this);
  }

  /**
   * Whether the next event may be compressed; the transports of browsers decide that by themselves.
   * @param {boolean} value
   */
  compress(value) {
    this.#flags.compress = value;
    return this;
  }

  /** The next event is dropped if the connection could not take it at once. */
  get volatile() {
    this.#flags.volatile = true;
    return this;
  }

  /** @param {AnyListener} listener called at every event that comes, before its own listeners */
  onAny(listener) {
    this.#any.on("", listener);
    return this;
  }

  /** @param {AnyListener} listener */
  prependAny(listener) {
    this.#any._prepend("", listener);
    return this;
  }

  /** @param {AnyListener} [listener] */
  offAny(listener) {
    this.#any.off("", listener);
    return this;
  }

  listenersAny() {
    return this.#any.listeners("");
  }

  /** @param {AnyListener} listener called at every event that is sent */
  onAnyOutgoing(listener) {
    this.#anyOutgoing.on("", listener);
    return this;
  }

  /** @param {AnyListener} listener */
  prependAnyOutgoing(listener) {
    this.#anyOutgoing._prepend("", listener);
    return this;
  }

  /** @param {AnyListener} [listener] */
  offAnyOutgoing(listener) {
    this.#anyOutgoing.off("", listener);
    return this;
  }

  listenersAnyOutgoing() {
    return this.#anyOutgoing.listeners("");
  }

  /**
   * @param {any[]} data
   * @param {any} flags
   * @param {number} [id] of its acknowledgement; a new one by default
   */
  #emit(data, flags, id) {
    const { engine } = this.io;
    /** @type {Packet} */
    const packet = { type: EVENT, nsp: this.nsp, data, options: { compress: flags.compress !== false } };
    const ack = typeof data.at(-1) === "function" ? data.pop() : undefined;
    if (ack) packet.id = id ??= this.#nextAck++;
    const frames = this.io._encode(packet);
    if (ack) this.#await(/** @type {number} */ (id), ack, flags.timeout ?? this.opts.ackTimeout);
    if (flags.volatile && !engine?.transport?.writable) return id;
    if (this.#isReachable()) this.#sendEvent(packet, frames);
    else this.#buffer._push(packet, frames);
    return id;
  }

  /** Whether a packet should be sent at once: the socket is connected and the server was heard lately. */
  #isReachable() {
    return this.connected && !this.io.engine._hasPingExpired();
  }

  /**
   * @param {number} id
   * @param {any} ack
   * @param {number | undefined} timeout
   */
  #await(id, ack, timeout) {
    if (timeout === undefined) {
      this.#acks.set(id, ack);
      return;
    }
    const cancel = later(timeout, () => {
      this.#buffer._remove(id);
      this.#fail(id, "operation has timed out");
    });
    const answered = (/** @type {any[]} */ ...args) => {
      cancel();
      ack.apply(this, args);
    };
    answered.withError = true;
    this.#acks.set(id, answered);
  }

  /**
   * @param {Packet} packet
   * @param {"full" | "age"} why
   */
  #dropped({ id, data }, why) {
    guard(() => /** @type {any} */ (this.opts.offlineBuffer)?.onDrop?.(data, why));
    if (id !== undefined) this.#fail(id, "dropped while offline");
  }

  /** @param {number} id */
  #take(id) {
    const ack = this.#acks.get(id);
    this.#acks.delete(id);
    return ack;
  }

  /**
   * Ends an acknowledgement without an answer: those that take errors hear of it.
   * @param {number} id
   * @param {string} message
   */
  #fail(id, message) {
    const ack = this.#take(id);
    if (ack?.withError) guard(() => ack.call(this, new Error(message)));
  }

  /**
   * @param {Packet} packet
   * @param {any[]} frames
   */
  #sendEvent(packet, frames) {
    this.#anyOutgoing._emit("", ...packet.data);
    this.io._write(frames, packet.options);
  }

  /** @param {Partial<Packet>} packet of this namespace */
  #send(packet) {
    this.io._write(this.io._encode(/** @type {Packet} */ ({ nsp: this.nsp, ...packet })));
  }

  /** True when it is called first, if that is during the present connection, and the socket was not left meanwhile. */
  #once() {
    const { engine } = this.io;
    const subscriptions = this.#subscriptions;
    let isFirst = true;
    return () => {
      const isMeant = isFirst && subscriptions === this.#subscriptions && engine === this.io.engine;
      isFirst = false;
      return isMeant && this.io._readyState === "open";
    };
  }

  /** Tells the server that this session is over. */
  #leave() {
    this.#leftOn = this.io.engine;
    this.#send({ type: DISCONNECT });
  }

  /** Asks to enter the namespace, with the application's credentials. */
  #onOpen() {
    const { engine } = this.io;
    // A second CONNECT would end the connection: it waits for the answer to the first.
    if (this.#askedOn === engine) return;
    const isFirst = this.#once();
    // Credentials that come twice, or after their connection, are not wanted any more, nor is their failure.
    const refuse = (/** @type {any} */ error) => isFirst() && this.#refused(error);
    const send = (/** @type {any} */ auth) => {
      if (!isFirst()) return;
      try {
        const data = this.#pid ? { pid: this.#pid, offset: this.#offset, ...auth } : auth;
        this.#send({ type: CONNECT, data });
        this.#askedOn = engine;
        this.#askedBy = this.#subscriptions;
      } catch (error) {
        this.#refused(error);
      }
    };
    const { auth } = this;
    if (typeof auth !== "function") return send(auth);
    try {
      /** @type {any} */
      const result = auth(send);
      if (typeof result?.then === "function") {
        result.then((/** @type {any} */ value) => value === undefined || send(value), refuse);
      } else if (result && typeof result === "object") send(result);
    } catch (error) {
      refuse(error);
    }
  }

  /** @param {any} error */
  #refused(error) {
    this.#destroy();
    this._emit("connect_error", error instanceof Error ? error : new Error(String(error)));
  }

  /**
   * @internal
   * @param {Packet} packet of this namespace
   */
  _onPacket({ type, data, id }) {
    const { engine } = this.io;
    const isMeant = this.#askedOn !== engine || this.#askedBy === this.#subscriptions;
    const isAnswer = type === CONNECT || type === CONNECT_ERROR;
    if (isAnswer) this.#askedOn = undefined;
    if (isAnswer && !isMeant) {
      // The socket was left before this answer, and may want to enter again.
      if (type === CONNECT) this.#leave();
      if (this.active) this.#onOpen();
      return;
    }
    if (!isMeant || !this.active || (!isAnswer && this.#leftOn === engine)) return;
    switch (type) {
      case CONNECT:
        if (typeof data?.sid === "string") this.#onConnect(data);
        else this._emit("connect_error", new Error("another protocol version"));
        break;
      case EVENT:
        this.#onEvent(data, id);
        break;
      case ACK:
        this.#onAck(/** @type {number} */ (id), data);
        break;
      case DISCONNECT:
        this.#destroy();
        this.#onClose("io server disconnect");
        break;
      case CONNECT_ERROR:
        this.#refused(Object.assign(new Error(data.message ?? data), { data: data.data }));
    }
  }

  /** @param {{ sid: string, pid?: string, once?: boolean }} data */
  #onConnect({ sid, pid, once }) {
    this.id = sid;
    this.recovered = !!pid && this.#pid === pid;
    // An offset means something only in the session that it is from.
    if (!this.recovered) this.#offset = undefined;
    this.#pid = pid;
    this.connected = true;
    this.#leftOn = undefined;
    const received = this.receiveBuffer;
    this.receiveBuffer = [];
    for (const args of received) this.#dispatch(args);
    // One of them may have made the application leave.
    if (!this.connected) return;
    const retry = this.#retry;
    // Retries keep their ids where the server says that it handles no id twice; it has to know that they do.
    if (retry && (retry._keepsIds = once)) {
      this.#send({ type: EVENT, data: ["trunkline:keeps-ids"] });
    }
    for (const { packet, frames } of this.#buffer._take()) this.#sendEvent(packet, frames);
    guard(() => retry?._drain());
    this._emit("connect");
  }

  /**
   * @param {any[]} data
   * @param {number | undefined} id
   */
  #onEvent(data, id) {
    const args = [...data];
    if (id !== undefined) {
      const isFirst = this.#once();
      // In another connection the id would be that of another event.
      args.push((/** @type {any[]} */ ...values) => isFirst() && this.#send({ type: ACK, id, data: values }));
    }
    if (this.connected) this.#dispatch(args);
    else if (this.receiveBuffer.push(args) > MAX_EARLY) this.io._violated(new Error("too many events"));
  }

  /** @param {any[]} args */
  #dispatch(args) {
    this.#any._emit("", ...args);
    this._emit(String(args[0]), ...args.slice(1));
    const last = args.at(-1);
    if (this.#pid && typeof last === "string") this.#offset = last;
  }

  /**
   * @param {number} id
   * @param {any[]} data
   */
  #onAck(id, data) {
    const ack = this.#take(id);
    ack?.apply(this, ack.withError ? [null, ...data] : data);
  }

  /**
   * @param {string} reason
   * @param {any} [details]
   */
  #onClose(reason, details) {
    this.connected = false;
    this.receiveBuffer = [];
    this.id = undefined;
    this._emit("disconnect", reason, details);
    // What waits here will be sent later and may be answered then.
    const kept = new Set(this.sendBuffer.map(({ id }) => id));
    for (const id of [...this.#acks.keys()]) {
      if (!kept.has(id)) this.#fail(id, "socket has been disconnected");
    }
  }

  #destroy() {
    for (const end of this.#subscriptions ?? []) end();
    this.#subscriptions = undefined;
    this.receiveBuffer = [];
    this.io._left();
  }
}
