/**
 * One packet that waits, encoded already, so that its size is known.
 * @typedef {{ packet: import("./parser.js").Packet, frames: any[] }} Entry
 */
/** @typedef {"full" | "age" | "none"} DropReason */
/** The queue of one socket; `drop` hears of every packet that is given up. */
export class OfflineBuffer {
    /**
     * @param {import("./types.js").SocketOptions["offlineBuffer"]} options
     * @param {(packet: import("./parser.js").Packet, why: DropReason) => void} drop
     */
    constructor(options: import("./types.js").SocketOptions["offlineBuffer"], drop: (packet: import("./parser.js").Packet, why: DropReason) => void);
    _policy: "all" | "none" | "last";
    _maxCount: number;
    _maxBytes: number;
    _maxAge: number;
    _drop: (packet: import("./parser.js").Packet, why: DropReason) => void;
    /** @param {Entry} entry */
    push(entry: Entry): void;
    /** Empties the buffer and returns what was in it, oldest first. */
    _take(): Entry[];
    /** The packets that wait. */
    _packets(): import("./parser.js").Packet[];
    /**
     * Whether a packet with this acknowledgement id waits.
     * @param {number} id
     */
    _has(id: number): boolean;
    /**
     * Takes out the packet with this acknowledgement id, if it still waits.
     * @param {number} id
     */
    _remove(id: number): void;
    #private;
}
/**
 * One packet that waits, encoded already, so that its size is known.
 */
export type Entry = {
    packet: import("./parser.js").Packet;
    frames: any[];
};
export type DropReason = "full" | "age" | "none";
