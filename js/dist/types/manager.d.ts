/** @typedef {import("./parser.js").Packet} Packet */
/**
 * The connection that sockets share. Events: see `ManagerEvents`.
 * @template {import("./types.js").EventsMap} [ListenEvents=import("./types.js").DefaultEventsMap]
 * @template {import("./types.js").EventsMap} [EmitEvents=ListenEvents]
 * @extends {Emitter<{}, import("./types.js").ManagerEvents>}
 */
export class Manager<ListenEvents extends import("./types.js").EventsMap = import("./types.js").DefaultEventsMap, EmitEvents extends import("./types.js").EventsMap = ListenEvents> extends Emitter<{}, import("./types.js").ManagerEvents> {
    /**
     * @param {string | Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions>} [uri] the server; its path has no meaning here
     * @param {Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions>} [opts]
     */
    constructor(uri?: string | Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions>, opts?: Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions>);
    /** The session, once `open` was called. @type {Engine} */
    engine: Engine;
    /** @internal @type {"closed" | "opening" | "open"} */
    _readyState: "closed" | "opening" | "open";
    /** @internal */
    _reconnecting: boolean;
    /** The sockets by namespace. @internal @type {Record<string, Socket<any, any>>} */
    nsps: Record<string, Socket<any, any>>;
    /** The options; changes hold from the next connection on. @type {any} */
    opts: any;
    uri: string;
    /** Whether sockets connect when they are made. @internal */
    _autoConnect: boolean;
    /**
     * Opens the connection, unless it is there or under way. With `done` the outcome is told to it, and a failure does not
     * begin to reconnect.
     * @param {(error?: Error) => void} [done]
     */
    open(done?: (error?: Error) => void): this;
    /** @param {(error?: Error) => void} [done] */
    connect(done?: (error?: Error) => void): this;
    /**
     * The server did what the protocol does not allow.
     * @internal
     * @param {any} error
     */
    _violated(error: any): void;
    /** @param {boolean} [value] false also ends a reconnection under way */
    reconnection(value?: boolean): any;
    /** @param {number} [value] */
    reconnectionAttempts(value?: number): any;
    /** @param {number} [value] ms */
    reconnectionDelay(value?: number): any;
    /** @param {number} [value] ms */
    reconnectionDelayMax(value?: number): any;
    /** @param {number} [value] from 0 to 1 */
    randomizationFactor(value?: number): any;
    /** @param {number | false} [value] ms for an attempt to connect */
    timeout(value?: number | false): any;
    /**
     * The socket of a namespace; there is one for each.
     * @param {string} nsp
     * @param {import("./types.js").SocketOptions} [opts]
     * @returns {Socket<ListenEvents, EmitEvents>}
     */
    socket(nsp: string, opts?: import("./types.js").SocketOptions): Socket<ListenEvents, EmitEvents>;
    /**
     * A socket is not used any more: the connection ends with the last one.
     * @internal
     */
    _left(): void;
    /**
     * @internal
     * @param {Packet} packet
     * @returns {any[]}
     */
    _encode(packet: Packet): any[];
    /**
     * @internal
     * @param {any[]} frames
     * @param {any} [options]
     */
    _write(frames: any[], options?: any): void;
    #private;
}
export type Packet = import("./parser.js").Packet;
import { Emitter } from "./emitter.js";
import { Engine } from "./engine.js";
import { Socket } from "./socket.js";
