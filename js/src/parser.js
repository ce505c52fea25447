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

/** Makes packets into frames: a text and its attachments. */
export class Encoder {
  /** @param {(key: string, value: any) => any} [replacer] as for JSON.stringify */
  constructor(replacer) {
    this.replacer = replacer;
  }

  /**
   * @param {Packet} packet
   * @returns {any[]}
   */
  encode({ type, nsp, data, id }) {
    const { replacer } = this;
    /** @type {any[]} */
    const attachments = [];
    /** @this {any} */
    function extract(/** @type {string} */ key, /** @type {any} */ value) {
      // `value` has been through toJSON already, which a Buffer has: what is meant is in the holder.
      const original = isBinary(this[key]) ? this[key] : value;
      if (isBinary(original)) {
        attachments.push(original);
        return { _placeholder: true, num: attachments.length - 1 };
      }
      return replacer ? replacer.call(this, key, value) : value;
    }
    const json = data === undefined ? "" : JSON.stringify(data, extract);
    const isBinaryPacket = attachments.length > 0 && (type === EVENT || type === ACK);
    const head = isBinaryPacket ? `${type + BINARY}${attachments.length}-` : type;
    return [`${head}${nsp === "/" ? "" : `${nsp},`}${id ?? ""}${json}`, ...attachments];
  }
}

/**
 * Makes frames into packets and emits each as `decoded`. `add` throws at anything that the protocol does not allow; the
 * decoder must not be used after that.
 */
export class Decoder extends Emitter {
  /** @type {{ packet: Packet, missing: number, attachments: any[] } | undefined} */
  #pending;

  /** @param {{ reviver?: (key: string, value: any) => any, maxAttachments?: number } | ((key: string, value: any) => any)} [options] */
  constructor(options) {
    super();
    const settings = typeof options === "function" ? { reviver: options } : options;
    this.reviver = settings?.reviver;
    this.maxAttachments = settings?.maxAttachments ?? 10;
  }

  /** @param {any} frame a text, or an attachment of the text before */
  add(frame) {
    const pending = this.#pending;
    if (typeof frame === "string") {
      if (pending) throw new Error("got plaintext data when reconstructing a packet");
      this.#text(frame);
    } else {
      if (!pending) throw new Error("got binary data when not reconstructing a packet");
      pending.attachments.push(frame);
      if (pending.attachments.length === pending.missing) this.#complete(pending.packet, pending.attachments);
    }
  }

  destroy() {
    this.#pending = undefined;
  }

  /** @param {string} text */
  #text(text) {
    const match = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*)(?:,|$))?(\d+)?/.exec(text);
    if (!match) throw new Error("unknown packet type");
    const [{ length }, digit, count, nsp = "/", digits] = match;
    const type = Number(digit);
    const isBinaryPacket = type >= BINARY_EVENT;
    if (isBinaryPacket !== (count !== undefined)) throw new Error("illegal attachments");
    if (Number(count) > this.maxAttachments) throw new Error("too many attachments");
    const id = digits === undefined ? undefined : Number(digits);
    if (id !== undefined && !Number.isSafeInteger(id)) throw new Error("illegal id");
    const json = text.slice(length);
    const data = json ? JSON.parse(json, this.reviver) : undefined;
    /** @type {Packet} */
    const packet = { type: isBinaryPacket ? type - BINARY : type, nsp, data };
    if (id !== undefined) packet.id = id;
    if (!isValid(packet)) throw new Error("invalid payload");
    if (Number(count) > 0) this.#pending = { packet, missing: Number(count), attachments: [] };
    else this.#complete(packet, isBinaryPacket ? [] : undefined);
  }

  /**
   * @param {Packet} packet
   * @param {any[] | undefined} attachments undefined: placeholders mean nothing
   */
  #complete(packet, attachments) {
    this.#pending = undefined;
    packet.data = restore(packet.data, attachments, MAX_DEPTH);
    this._emit("decoded", packet);
  }
}

/** @param {Packet} packet */
function isValid({ type, data, id }) {
  switch (type) {
    case CONNECT:
      return data === undefined || isObject(data);
    case DISCONNECT:
      return data === undefined;
    case CONNECT_ERROR:
      return typeof data === "string" || isObject(data);
    case EVENT:
      return (
        Array.isArray(data) &&
        (typeof data[0] === "number" || (typeof data[0] === "string" && !RESERVED.has(data[0])))
      );
    default:
      return Array.isArray(data) && id !== undefined;
  }
}

/** @param {any} value */
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/**
 * Puts attachments where their placeholders are; throws at a wrong placeholder or too deep a value.
 * @param {any} value
 * @param {any[] | undefined} attachments
 * @param {number} depth
 * @returns {any}
 */
function restore(value, attachments, depth) {
  if (value === null || typeof value !== "object") return value;
  if (depth === 0) throw new Error("too deep a value");
  if (attachments && value._placeholder === true) {
    const { num } = value;
    if (!Number.isInteger(num) || num < 0 || num >= attachments.length) throw new Error("illegal attachments");
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
    (typeof Blob === "function" && value instanceof Blob)
  );
}
