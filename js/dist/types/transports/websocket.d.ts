export class WebSocketTransport extends Transport {
    /** Whether a packet would leave without much waiting. */
    get writable(): boolean;
    open(): void;
    /** @param {import("../packets.js").EnginePacket[]} packets */
    send(packets: import("../packets.js").EnginePacket[]): void;
    close(): void;
    #private;
}
import { Transport } from "./transport.js";
