/**
 * @typedef {import("../types.js").EngineOptions & { address: import("../url.js").Address, path: string,
 *   cookies?: import("../cookies.js").CookieJar }} TransportOptions
 */
/** Emits `open`, `packet`, `drain`, `error` and `close`. */
export class Transport extends Emitter<import("../types.js").EventsMap, any> {
    /**
     * @param {TransportOptions} opts
     * @param {string | null} sid the session, if there is one
     */
    constructor(opts: TransportOptions, sid: string | null);
    /** The name in the protocol; each transport has its own. */
    name: string;
    /** @type {"opening" | "open" | "pausing" | "paused" | "closed"} */
    readyState: "opening" | "open" | "pausing" | "paused" | "closed";
    opts: TransportOptions;
    query: {
        [key: string]: any;
    };
    _sid: string | null;
    /** Reports the transport as usable. */
    _opened(): void;
    /**
     * Reports the end by the other side.
     * @param {any} details
     */
    _closed(details: any): void;
    /**
     * Reports a failure; the engine then closes the transport.
     * @param {string} message
     * @param {any} [description]
     * @param {any} [context]
     */
    _failed(message: string, description?: any, context?: any): void;
    /**
     * @param {"http" | "ws"} scheme
     * @param {boolean} stamped whether the address must be new, so that nobody answers from a cache
     */
    _url(scheme: "http" | "ws", stamped: boolean): string;
}
export type TransportOptions = import("../types.js").EngineOptions & {
    address: import("../url.js").Address;
    path: string;
    cookies?: import("../cookies.js").CookieJar;
};
import { Emitter } from "../emitter.js";
