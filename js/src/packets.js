// The Engine.IO protocol, version 4: packets to what travels, and back.
import { isNode } from "./platform.js";

/** @typedef {"open" | "close" | "ping" | "pong" | "message" | "upgrade" | "noop"} EnginePacketType */

/** @typedef {{ type: EnginePacketType, data?: any, options?: any }} EnginePacket */

/** @type {EnginePacketType[]} */
const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

/** Between the packets of one body. */
const SEPARATOR = "\x1e";

/** Longest call of String.fromCharCode, whose arguments lie on the stack. */
const CHUNK = 0x8000;

/**
 * A packet as one WebSocket message: text, or the binary itself where the transport can carry it.
 * @param {EnginePacket} packet
 */
export function encodePacket({ type, data }) {
  return typeof data === "object" ? data : TYPES.indexOf(type) + (data ?? "");
}

/**
 * A packet as text, whatever it carries.
 * @param {EnginePacket} packet
 * @returns {Promise<string> | string}
 */
function encodeText(packet) {
  const encoded = encodePacket(packet);
  if (typeof encoded === "string") return encoded;
  return encoded.arrayBuffer ? encoded.arrayBuffer().then(base64) : base64(encoded);
}

/** @param {EnginePacket[]} packets */
export const encodePayload = async (packets) => (await Promise.all(packets.map(encodeText))).join(SEPARATOR);

/**
 * Throws at what is no packet.
 * @param {any} encoded a text or an ArrayBuffer
 * @returns {EnginePacket}
 */
export function decodePacket(encoded) {
  if (typeof encoded !== "string") return { type: "message", data: toBinary(encoded) };
  if (encoded[0] === "b") {
    const text = atob(encoded.slice(1));
    const bytes = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
    return { type: "message", data: toBinary(bytes.buffer) };
  }
  const type = TYPES[/** @type {any} */ (encoded[0])];
  if (!type) throw new Error("parser error");
  return { type, data: encoded.slice(1) };
}

/** @param {string} body */
export const decodePayload = (body) => body.split(SEPARATOR).map(decodePacket);

/**
 * What a packet adds to a polling body, in bytes.
 * @param {EnginePacket} packet
 */
export function sizeInPayload({ data = "" }) {
  if (typeof data === "string") return 2 + new TextEncoder().encode(data).length;
  return 2 + 4 * Math.ceil((data.byteLength ?? data.size) / 3);
}

/**
 * In Node.js applications expect a Buffer.
 * @param {ArrayBuffer} buffer
 */
function toBinary(buffer) {
  return isNode ? /** @type {any} */ (globalThis).Buffer.from(buffer) : buffer;
}

/** @param {any} binary an ArrayBuffer or a view of one; what only a view has may be undefined */
function base64(binary) {
  const bytes = new Uint8Array(binary.buffer ?? binary, binary.byteOffset, binary.byteLength);
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode.apply(null, /** @type {any} */ (bytes.subarray(at, at + CHUNK)));
  }
  return `b${btoa(text)}`;
}
