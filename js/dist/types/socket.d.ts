/**
 * A socket in one namespace. `ListenEvents` are the events that the server sends, `EmitEvents` those that it takes.
 * @template {EventsMap} [ListenEvents=import("./types.js").DefaultEventsMap]
 * @template {EventsMap} [EmitEvents=ListenEvents]
 * @extends {Emitter<ListenEvents, import("./types.js").SocketEvents>}
 */
export class Socket<ListenEvents extends EventsMap = import("./types.js").DefaultEventsMap, EmitEvents extends EventsMap = ListenEvents> extends Emitter<ListenEvents, import("./types.js").SocketEvents> {
    /**
     * Applications get sockets from `io()` or `manager.socket()`.
     * @param {import("./manager.js").Manager<any, any>} io
     * @param {string} nsp
     * @param {import("./types.js").SocketOptions} [opts]
     */
    constructor(io: import("./manager.js").Manager<any, any>, nsp: string, opts?: import("./types.js").SocketOptions);
    /** The socket's public id while connected. @type {string | undefined} */
    id: string | undefined;
    connected: boolean;
    /** Whether the last connection went on where the one before had ended, with nothing missed. */
    recovered: boolean;
    /** Events that came before the server's word that this socket is connected. @type {any[][]} */
    receiveBuffer: any[][];
    io: import("./manager.js").Manager<any, any>;
    nsp: string;
    opts: import("./types.js").SocketOptions;
    /** Sent when connecting; a change holds from the next time on. @type {import("./types.js").AuthOption | undefined} */
    auth: import("./types.js").AuthOption | undefined;
    /** Whether the socket is connected or will be again by itself. */
    get active(): boolean;
    get disconnected(): boolean;
    set sendBuffer(packets: import("./parser.js").Packet[]);
    /** The packets that wait for a connection; an empty array may be assigned. */
    get sendBuffer(): import("./parser.js").Packet[];
    connect(): this;
    open(): this;
    /** Leaves the namespace for good; `connect()` enters it again. The connection ends with its last socket. */
    disconnect(): this;
    close(): this;
    /**
     * Sends an event; a function in the last place is its acknowledgement. Throws if the name is the library's own or an
     * argument cannot be written as JSON.
     * @template {import("./types.js").EventNames<EmitEvents>} E
     * @param {E} event
     * @param {import("./types.js").EventParams<EmitEvents, E>} args
     */
    emit<E extends import("./types.js").EventNames<EmitEvents>>(event: E, ...args: import("./types.js").EventParams<EmitEvents, E>): this;
    /**
     * Sends an event and resolves with the first value of its acknowledgement. Rejects when `timeout()` is over, or when the
     * connection is lost before the answer.
     * @template {import("./types.js").EventNames<EmitEvents>} E
     * @param {E} event
     * @param {import("./types.js").AllButLast<import("./types.js").EventParams<EmitEvents, E>>} args
     * @returns {Promise<import("./types.js").AckValue<import("./types.js").Last<import("./types.js").EventParams<EmitEvents, E>>>>}
     */
    emitWithAck<E extends import("./types.js").EventNames<EmitEvents>>(event: E, ...args: import("./types.js").AllButLast<import("./types.js").EventParams<EmitEvents, E>>): Promise<import("./types.js").AckValue<import("./types.js").Last<import("./types.js").EventParams<EmitEvents, E>>>>;
    /**
     * Sends the event `message`.
     * @param {any[]} args
     */
    send(...args: any[]): any;
    /**
     * The next event's acknowledgement is called within `ms` milliseconds, with an error in front if none came.
     * @param {number} ms
     * @returns {Socket<ListenEvents, import("./types.js").WithAckErrors<EmitEvents>>}
     */
    timeout(ms: number): Socket<ListenEvents, import("./types.js").WithAckErrors<EmitEvents>>;
    /**
     * Whether the next event may be compressed; the transports of browsers decide that by themselves.
     * @param {boolean} value
     */
    compress(value: boolean): this;
    /** The next event is dropped if the connection could not take it at once. */
    get volatile(): this;
    /** @param {AnyListener} listener called at every event that comes, before its own listeners */
    onAny(listener: AnyListener): this;
    /** @param {AnyListener} listener */
    prependAny(listener: AnyListener): this;
    /** @param {AnyListener} [listener] */
    offAny(listener?: AnyListener): this;
    listenersAny(): any[];
    /** @param {AnyListener} listener called at every event that is sent */
    onAnyOutgoing(listener: AnyListener): this;
    /** @param {AnyListener} listener */
    prependAnyOutgoing(listener: AnyListener): this;
    /** @param {AnyListener} [listener] */
    offAnyOutgoing(listener?: AnyListener): this;
    listenersAnyOutgoing(): any[];
    /**
     * @internal
     * @param {Packet} packet of this namespace
     */
    _onPacket({ type, data, id }: Packet): void;
    #private;
}
export type EventsMap = import("./types.js").EventsMap;
export type Packet = import("./parser.js").Packet;
export type AnyListener = (event: string, ...args: any[]) => void;
import { Emitter } from "./emitter.js";
