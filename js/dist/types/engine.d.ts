/**
 * Events: `open`, `handshake`, `packet`, `packetCreate`, `data`, `message`, `ping`, `pong`, `drain`,
 * `upgrading`, `upgrade`, `upgradeError`, `error`, `close`.
 * @extends {Emitter<import("./types.js").EngineEvents, {}>}
 */
export class Engine extends Emitter<import("./types.js").EngineEvents, {}> {
    /**
     * Opens at once; whatever happens is reported later than the constructor's end.
     * @param {import("./url.js").Address} address
     * @param {import("./types.js").EngineOptions} opts
     */
    constructor(address: import("./url.js").Address, opts: import("./types.js").EngineOptions);
    /** @type {"opening" | "open" | "closing" | "closed"} */
    readyState: "opening" | "open" | "closing" | "closed";
    /** The session's id, a secret between this client and the server. @type {string | null} */
    id: string | null;
    /** @type {any} */
    transport: any;
    /** Packets that no transport has taken yet. @type {EnginePacket[]} */
    writeBuffer: EnginePacket[];
    upgrading: boolean;
    /** @type {any} */
    opts: any;
    /** Those that are known and possible here, in the order of preference. @type {string[]} */
    transports: string[];
    /**
     * Whether the server has been silent for too long, even if no timer has noticed yet.
     * @internal
     */
    _hasPingExpired(): boolean;
    /**
     * Queues one message.
     * @param {any} data text or binary
     * @param {any} [options]
     */
    write(data: any, options?: any): this;
    /** Closes once all that waits has been sent and an upgrade under way has ended; a silent server cannot delay it for ever. */
    close(): this;
    #private;
}
export type EnginePacket = import("./packets.js").EnginePacket;
import { Emitter } from "./emitter.js";
