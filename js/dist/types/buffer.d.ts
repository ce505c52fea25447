/** @typedef {import("./parser.js").Packet} Packet */
/** The queue of one socket; `drop` hears of every packet that is given up. */
export class OfflineBuffer {
    /**
     * @param {import("./types.js").SocketOptions["offlineBuffer"]} options
     * @param {(packet: Packet, why: "full" | "age") => void} drop
     */
    constructor(options: import("./types.js").SocketOptions["offlineBuffer"], drop: (packet: Packet, why: "full" | "age") => void);
    _keepsLast: boolean;
    _maxCount: any;
    _kept: any;
    _maxBytes: any;
    _maxAge: any;
    _drop: (packet: Packet, why: "full" | "age") => void;
    /**
     * @param {Packet} packet
     * @param {any[]} frames
     */
    _push(packet: Packet, frames: any[]): void;
    /** Empties the buffer and returns what was in it, oldest first. */
    _take(): {
        packet: Packet;
        frames: any[];
        size: number;
        _since: number;
    }[];
    /** The packets that wait. */
    _packets(): import("./parser.js").Packet[];
    /**
     * Takes out the packet with this acknowledgement id, if it still waits.
     * @param {number} id
     */
    _remove(id: number): void;
    #private;
}
export type Packet = import("./parser.js").Packet;
