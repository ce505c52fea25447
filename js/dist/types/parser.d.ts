/**
 * Whether a value travels as an attachment: ArrayBuffer, its views (Buffer too), Blob and File.
 * @param {any} value
 */
export function isBinary(value: any): value is ArrayBuffer | ArrayBufferView<ArrayBufferLike> | Blob;
/** The version of the Socket.IO protocol that this client speaks. */
export const protocol: 5;
export const CONNECT: 0;
export const DISCONNECT: 1;
export const EVENT: 2;
export const ACK: 3;
export const CONNECT_ERROR: 4;
/** @typedef {{ type: number, nsp: string, data?: any, id?: number, options?: any }} Packet */
/** Event names that belong to the library: nobody may send them. */
export const RESERVED: Set<string>;
/** Makes packets into frames: a text and its attachments. */
export class Encoder {
    /**
     * @param {Packet} packet
     * @returns {any[]}
     */
    encode({ type, nsp, data, id }: Packet): any[];
}
/**
 * Makes frames into packets and emits each as `decoded`. `add` throws at anything that the protocol does not allow; the
 * decoder must not be used after that.
 *
 * Attachments are awaited without a deadline of their own: at most MAX_ATTACHMENTS are held, any text meanwhile ends the
 * connection, and so does a silence of the server, by the heartbeat.
 */
export class Decoder extends Emitter<import("./types.js").EventsMap, any> {
    constructor();
    /** @param {any} frame a text, or an attachment of the text before */
    add(frame: any): void;
    destroy(): void;
    #private;
}
export type Packet = {
    type: number;
    nsp: string;
    data?: any;
    id?: number;
    options?: any;
};
import { Emitter } from "./emitter.js";
