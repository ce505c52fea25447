// The Socket.IO protocol, version 5: packets to text and attachments, and back.
import { Emitter } from "./emitter.js";

/** The version of the Socket.IO protocol that this client speaks. */
export const protocol = 5;

// The packet types of the protocol; the decoder gives binary ones as EVENT and ACK.
export const CONNECT = 0;
export const DISCONNECT = 1;
export const EVENT = 2;
export const ACK = 3;
export const CONNECT_ERROR = 4;
const BINARY_EVENT = 5;

/** @typedef {{ type: number, nsp: string, data?: any, id?: number, options?: any }} Packet */

/** Event names that belong to the library: nobody may send them. */
export const RESERVED = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

/** Values nested deeper than this are refused, as by the server. */
const MAX_DEPTH = 128;

/** What makes an EVENT or ACK its binary kind. */
const BINARY = BINARY_EVENT - EVENT;

/** Attachments that one packet may have. */
const MAX_ATTACHMENTS = 10;

/** Makes packets into frames: a text and its attachments. */
export class Encoder {
  /**
   * @param {Packet} packet
   * @returns {any[]}
   */
  encode({ type, nsp, data, id }) {
    /** @type {any[]} */
    const attachments = [];
    /** @this {any} */
    function extract(/** @type {string} */ key, /** @type {any} */ value) {
      // `value` has been through toJSON already, which a Buffer has: what is meant is in the holder.
      const original = this[key];
      const binary = isBinary(original) ? original : value;
      if (!isBinary(binary)) return value;
      return { _placeholder: true, num: attachments.push(binary) - 1 };
    }
    const json = JSON.stringify(data, type === EVENT || type === ACK ? extract : undefined) ?? "";
    const head = attachments.length ? `${type + BINARY}${attachments.length}-` : type;
    return [`${head}${nsp === "/" ? "" : `${nsp},`}${id ?? ""}${json}`, ...attachments];
  }
}

/**
 * Makes frames into packets and emits each as `decoded`. `add` throws at anything that the protocol does not allow; the
 * decoder must not be used after that.
 *
 * Attachments are awaited without a deadline of their own: at most MAX_ATTACHMENTS are held, any text meanwhile ends the
 * connection, and so does a silence of the server, by the heartbeat.
 */
export class Decoder extends Emitter {
  /** A packet whose attachments are awaited. @type {Packet | undefined} */
  #packet;
  #missing = 0;
  /** @type {any[]} */
  #attachments = [];

  /** @param {any} frame a text, or an attachment of the text before */
  add(frame) {
    const packet = this.#packet;
    const isText = typeof frame === "string";
    check(isText === !packet, "illegal attachments");
    if (!packet) this.#text(frame);
    else if (this.#attachments.push(frame) === this.#missing) this.#complete(packet, this.#attachments);
  }

  destroy() {
    this.#packet = undefined;
  }

  /** @param {string} text */
  #text(text) {
    const match = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*)(?:,|$))?(\d+)?/.exec(text);
    check(match, "invalid payload");
    const [head, digit, count, nsp = "/", digits] = /** @type {RegExpExecArray} */ (match);
    const missing = +(count ?? 0);
    const isBinaryPacket = +digit >= BINARY_EVENT;
    check(isBinaryPacket === !!count && missing <= MAX_ATTACHMENTS, "illegal attachments");
    const json = text.slice(head.length);
    /** @type {Packet} */
    const packet = { type: +digit - (isBinaryPacket ? BINARY : 0), nsp, data: json ? JSON.parse(json) : undefined };
    if (digits) packet.id = +digits;
    check(isValid(packet), "invalid payload");
    if (missing) {
      this.#packet = packet;
      this.#missing = missing;
      this.#attachments = [];
    } else this.#complete(packet, isBinaryPacket ? [] : undefined);
  }

  /**
   * @param {Packet} packet
   * @param {any[] | undefined} attachments undefined: placeholders mean nothing
   */
  #complete(packet, attachments) {
    this.#packet = undefined;
    packet.data = restore(packet.data, attachments, MAX_DEPTH);
    this._emit("decoded", packet);
  }
}

/**
 * @param {any} holds
 * @param {string} rule what is broken otherwise
 */
function check(holds, rule) {
  if (!holds) throw new Error(rule);
}

/** @param {Packet} packet */
function isValid({ type, data, id }) {
  const isArray = Array.isArray(data);
  const isObject = data && typeof data === "object" && !isArray;
  if (type === CONNECT) return data === undefined || isObject;
  if (type === DISCONNECT) return data === undefined;
  if (type === CONNECT_ERROR) return typeof data === "string" || isObject;
  if (type === ACK) return isArray && Number.isSafeInteger(id);
  const isName = isArray && /^(string|number)$/.test(typeof data[0]) && !RESERVED.has(data[0]);
  return isName && (id === undefined || Number.isSafeInteger(id));
}

/**
 * Puts attachments where their placeholders are; throws at a wrong placeholder or too deep a value.
 * @param {any} value
 * @param {any[] | undefined} attachments
 * @param {number} depth
 * @returns {any}
 */
function restore(value, attachments, depth) {
  if (value === null || typeof value !== "object") return value;
  check(depth, "too deep");
  if (attachments && value._placeholder === true) {
    const { num } = value;
    check(typeof num === "number" && num in attachments, "illegal attachments");
    return attachments[num];
  }
  // Own keys only; an own "__proto__" that JSON.parse made is written as such and changes no prototype.
  for (const key of Object.keys(value)) {
    const old = value[key];
    const restored = restore(old, attachments, depth - 1);
    if (restored !== old) value[key] = restored;
  }
  return value;
}

/**
 * Whether a value travels as an attachment: ArrayBuffer, its views (Buffer too), Blob and File.
 * @param {any} value
 */
export function isBinary(value) {
  return (
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value) ||
    value instanceof Blob
  );
}
