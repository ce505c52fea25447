export class Polling extends Transport {
    /** Whether a POST may begin. */
    writable: boolean;
    open(): void;
    /** @param {import("../packets.js").EnginePacket[]} packets */
    send(packets: import("../packets.js").EnginePacket[]): Promise<void>;
    /**
     * Lets the running requests end and begins no other; then calls `done`.
     * @param {() => void} done
     */
    _pause(done: () => void): void;
    /** Goes on after a pause that led to nothing. */
    _resume(): void;
    /** Tells the server and stops waiting for it. */
    close(): void;
    #private;
}
import { Transport } from "./transport.js";
