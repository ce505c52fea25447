/**
 * A packet as one WebSocket message: text, or the binary itself where the transport can carry it.
 * @param {EnginePacket} packet
 */
export function encodePacket({ type, data }: EnginePacket): any;
/**
 * Throws at what is no packet.
 * @param {any} encoded a text or an ArrayBuffer
 * @returns {EnginePacket}
 */
export function decodePacket(encoded: any): EnginePacket;
/**
 * What a packet adds to a polling body, in bytes.
 * @param {EnginePacket} packet
 */
export function sizeInPayload({ data }: EnginePacket): number;
export function encodePayload(packets: EnginePacket[]): Promise<string>;
export function decodePayload(body: string): EnginePacket[];
export type EnginePacketType = "open" | "close" | "ping" | "pong" | "message" | "upgrade" | "noop";
export type EnginePacket = {
    type: EnginePacketType;
    data?: any;
    options?: any;
};
