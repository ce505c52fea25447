// Types only: event maps and what follows from them. Nothing of this file is left after a build.

/**
 * Names of events and the functions that listen to them, for example `{ post: (text: string, ack: (id: number) => void) => void }`.
 * @typedef {{ [event: string]: any }} EventsMap
 */

/** @typedef {{ [event: string]: (...args: any[]) => void }} DefaultEventsMap */

/**
 * @template {EventsMap} M
 * @typedef {keyof M & (string | symbol)} EventNames
 */

/**
 * What a listener of `E` is given.
 * @template {EventsMap} M
 * @template {keyof M} E
 * @typedef {M[E] extends (...args: infer P) => any ? P : any[]} EventParams
 */

/**
 * The listener of an event that is either the library's own (map `R`) or the application's (map `L`).
 * @template {EventsMap} L
 * @template {EventsMap} R
 * @template {PropertyKey} E
 * @typedef {E extends keyof R ? R[E] : E extends keyof L ? (...args: EventParams<L, E>) => void : never} Listener
 */

/**
 * @template {any[]} A
 * @typedef {A extends [...any[], infer T] ? T : any} Last
 */

/**
 * @template {any[]} A
 * @typedef {A extends [...infer T, any] ? T : any[]} AllButLast
 */

/**
 * The first argument of an acknowledgement that is not the error in front: what `emitWithAck` resolves with.
 * @template F
 * @typedef {F extends (...values: infer V) => any ? 0 extends V[0] & 1 ? any : NonNullable<V[0]> extends Error ? V[1] : V[0]
 *   : any} AckValue
 */

/**
 * An event whose acknowledgement, if it takes one, is called with an error in front: what `timeout()` makes of it.
 * @template F
 * @typedef {F extends (...args: [...infer A, (...ack: infer P) => infer R]) => infer S
 *   ? (...args: [...A, (error: Error, ...ack: P) => R]) => S : F} WithAckError
 */

/**
 * @template {EventsMap} M
 * @typedef {{ [E in keyof M]: WithAckError<M[E]> }} WithAckErrors
 */

/**
 * @typedef {"io server disconnect" | "io client disconnect" | "ping timeout" | "transport close" | "transport error"
 *   | "parse error" | "forced close"} DisconnectReason
 */

/**
 * An error of connecting. `data`: what the server's check gave with its refusal. `type` is `"TransportError"` when the
 * network failed, with `description` (an HTTP status, an event or an error) and `context` (status and text of the answer).
 * @typedef {Error & { data?: any, type?: string, description?: any, context?: any }} ConnectError
 */

/**
 * Why a connection was lost: an error, or what the transport says of it.
 * @typedef {{ description?: any, context?: any } | Error} DisconnectDescription
 */

/**
 * @typedef {{
 *   connect: () => void,
 *   connect_error: (error: ConnectError) => void,
 *   disconnect: (reason: DisconnectReason, details?: DisconnectDescription) => void,
 * }} SocketEvents
 */

/**
 * @typedef {{
 *   open: () => void,
 *   error: (error: ConnectError) => void,
 *   ping: () => void,
 *   packet: (packet: import("./parser.js").Packet) => void,
 *   close: (reason: string, details?: DisconnectDescription) => void,
 *   reconnect: (attempt: number) => void,
 *   reconnect_attempt: (attempt: number) => void,
 *   reconnect_error: (error: ConnectError) => void,
 *   reconnect_failed: () => void,
 * }} ManagerEvents
 */

/**
 * The events of `socket.io.engine`.
 * @typedef {{ [event: string]: (...args: any[]) => void }} EngineEvents
 */

/** @typedef {{ [key: string]: any }} Auth */

/**
 * Credentials, or a function that gives them at each connection: to its callback, or as (a promise of) its result.
 * @typedef {Auth | ((send: (auth: Auth) => void) => Auth | void | Promise<Auth | void>)} AuthOption
 */

/**
 * What is kept of events that are emitted while there is no connection. All bounds hold together.
 * - `policy`: `"all"` (default): what does not fit any more is dropped; `"last"`: the oldest are dropped for the newest;
 *   `"none"`: everything is dropped.
 * - `maxCount`: packets, default 10,000. `maxBytes`: default 16 MiB. `maxAge`: ms, default unlimited.
 * - `onDrop`: called with the event's arguments and why it was dropped.
 * @typedef {{
 *   policy?: "all" | "last" | "none",
 *   maxCount?: number,
 *   maxBytes?: number,
 *   maxAge?: number,
 *   onDrop?: (args: any[], why: "full" | "age") => void,
 * }} OfflineBufferOptions
 */

/**
 * Options of one namespace's socket.
 * @typedef {{
 *   auth?: AuthOption,
 *   retries?: number,
 *   ackTimeout?: number,
 *   offlineBuffer?: OfflineBufferOptions | "all" | "none",
 * }} SocketOptions
 */

/**
 * Options of the connection; docs/js-client.md explains them.
 * @typedef {{
 *   transports?: any[],
 *   upgrade?: boolean,
 *   upgradeTimeout?: number,
 *   rememberUpgrade?: boolean,
 *   tryAllTransports?: boolean,
 *   path?: string,
 *   addTrailingSlash?: boolean,
 *   query?: { [key: string]: any },
 *   extraHeaders?: { [name: string]: string },
 *   withCredentials?: boolean,
 *   requestTimeout?: number,
 *   timestampRequests?: boolean,
 *   timestampParam?: string,
 *   transportOptions?: { [transport: string]: any },
 *   protocols?: string | string[],
 *   autoUnref?: boolean,
 *   WebSocket?: any,
 *   fetch?: typeof fetch,
 *   [other: string]: any,
 * }} EngineOptions
 */

/**
 * @typedef {EngineOptions & {
 *   reconnection?: boolean,
 *   reconnectionAttempts?: number,
 *   reconnectionDelay?: number,
 *   reconnectionDelayMax?: number,
 *   randomizationFactor?: number,
 *   timeout?: number | false,
 *   autoConnect?: boolean,
 *   parser?: any,
 * }} ManagerOptions
 */

export {};
