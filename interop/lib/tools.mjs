// Small helpers of the scenarios: deadlines, waiting, and values that can be compared.
import { createHash } from "node:crypto";

/** `promise`, or an error that says what was awaited once `ms` milliseconds are over. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Resolves with the arguments of the next `event` of `emitter`. */
export const once = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

/** Keeps everything that arrives until somebody asks for it, in order. */
export class Inbox {
  #values = [];
  #takers = [];

  push(value) {
    const taker = this.#takers.shift();
    if (taker) taker(value);
    else this.#values.push(value);
  }

  take() {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift());
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}

/** A copy of `value` in which every kind of binary is one comparable form; long binaries by their digest. */
export function plain(value) {
  if (value instanceof ArrayBuffer) return plain(Buffer.from(value));
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    const shown =
      bytes.length <= 64 ? bytes.toString("hex") : createHash("sha256").update(bytes).digest("hex");
    return { "binary of": bytes.length, is: shown };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

/** `length` bytes that differ from place to place and are the same in every run. */
export function bytes(length, seed = 1) {
  const out = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    out[at] = state >>> 16;
  }
  return out;
}

/** A name nobody else uses in this run: servers are shared by many cases. */
export const unique = (prefix) => `${prefix}-${process.pid}-${(counter += 1)}`;
let counter = 0;
