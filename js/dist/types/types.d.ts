/**
 * Names of events and the functions that listen to them, for example `{ post: (text: string, ack: (id: number) => void) => void }`.
 */
export type EventsMap = {
    [event: string]: any;
};
export type DefaultEventsMap = {
    [event: string]: (...args: any[]) => void;
};
export type EventNames<M extends EventsMap> = keyof M & (string | symbol);
/**
 * What a listener of `E` is given.
 */
export type EventParams<M extends EventsMap, E extends keyof M> = M[E] extends (...args: infer P) => any ? P : any[];
/**
 * The listener of an event that is either the library's own (map `R`) or the application's (map `L`).
 */
export type Listener<L extends EventsMap, R extends EventsMap, E extends PropertyKey> = E extends keyof R ? R[E] : E extends keyof L ? (...args: EventParams<L, E>) => void : never;
export type Last<A extends any[]> = A extends [...any[], infer T] ? T : any;
export type AllButLast<A extends any[]> = A extends [...infer T, any] ? T : any[];
/**
 * The first argument of an acknowledgement that is not the error in front: what `emitWithAck` resolves with.
 */
export type AckValue<F> = F extends (...values: infer V) => any ? 0 extends V[0] & 1 ? any : NonNullable<V[0]> extends Error ? V[1] : V[0] : any;
/**
 * An event whose acknowledgement, if it takes one, is called with an error in front: what `timeout()` makes of it.
 */
export type WithAckError<F> = F extends (...args: [...infer A, (...ack: infer P) => infer R]) => infer S ? (...args: [...A, (error: Error, ...ack: P) => R]) => S : F;
export type WithAckErrors<M extends EventsMap> = { [E in keyof M]: WithAckError<M[E]>; };
export type DisconnectReason = "io server disconnect" | "io client disconnect" | "ping timeout" | "transport close" | "transport error" | "parse error" | "forced close";
/**
 * An error of connecting. `data`: what the server's check gave with its refusal. `type` is `"TransportError"` when the
 * network failed, with `description` (an HTTP status, an event or an error) and `context` (status and text of the answer).
 */
export type ConnectError = Error & {
    data?: any;
    type?: string;
    description?: any;
    context?: any;
};
/**
 * Why a connection was lost: an error, or what the transport says of it.
 */
export type DisconnectDescription = {
    description?: any;
    context?: any;
} | Error;
export type SocketEvents = {
    connect: () => void;
    connect_error: (error: ConnectError) => void;
    disconnect: (reason: DisconnectReason, details?: DisconnectDescription) => void;
};
export type ManagerEvents = {
    open: () => void;
    error: (error: ConnectError) => void;
    ping: () => void;
    packet: (packet: import("./parser.js").Packet) => void;
    close: (reason: string, details?: DisconnectDescription) => void;
    reconnect: (attempt: number) => void;
    reconnect_attempt: (attempt: number) => void;
    reconnect_error: (error: ConnectError) => void;
    reconnect_failed: () => void;
};
/**
 * The events of `socket.io.engine`.
 */
export type EngineEvents = {
    [event: string]: (...args: any[]) => void;
};
export type Auth = {
    [key: string]: any;
};
/**
 * Credentials, or a function that gives them at each connection: to its callback, or as (a promise of) its result.
 */
export type AuthOption = Auth | ((send: (auth: Auth) => void) => Auth | void | Promise<Auth | void>);
/**
 * What is kept of events that are emitted while there is no connection. All bounds hold together.
 * - `policy`: `"all"` (default): what does not fit any more is dropped; `"last"`: the oldest are dropped for the newest;
 *   `"none"`: everything is dropped.
 * - `maxCount`: packets, default 10,000. `maxBytes`: default 16 MiB. `maxAge`: ms, default unlimited.
 * - `onDrop`: called with the event's arguments and why it was dropped.
 */
export type OfflineBufferOptions = {
    policy?: "all" | "last" | "none";
    maxCount?: number;
    maxBytes?: number;
    maxAge?: number;
    onDrop?: (args: any[], why: "full" | "age") => void;
};
/**
 * Options of one namespace's socket.
 */
export type SocketOptions = {
    auth?: AuthOption;
    retries?: number;
    ackTimeout?: number;
    offlineBuffer?: OfflineBufferOptions | "all" | "none";
};
/**
 * Options of the connection; docs/js-client.md explains them.
 */
export type EngineOptions = {
    transports?: any[];
    upgrade?: boolean;
    upgradeTimeout?: number;
    rememberUpgrade?: boolean;
    tryAllTransports?: boolean;
    path?: string;
    addTrailingSlash?: boolean;
    query?: {
        [key: string]: any;
    };
    extraHeaders?: {
        [name: string]: string;
    };
    withCredentials?: boolean;
    requestTimeout?: number;
    timestampRequests?: boolean;
    timestampParam?: string;
    transportOptions?: {
        [transport: string]: any;
    };
    protocols?: string | string[];
    autoUnref?: boolean;
    WebSocket?: any;
    fetch?: typeof fetch;
    [other: string]: any;
};
export type ManagerOptions = EngineOptions & {
    reconnection?: boolean;
    reconnectionAttempts?: number;
    reconnectionDelay?: number;
    reconnectionDelayMax?: number;
    randomizationFactor?: number;
    timeout?: number | false;
    autoConnect?: boolean;
    parser?: any;
};
