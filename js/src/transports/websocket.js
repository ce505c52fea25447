// WebSocket: the browser's, that of Node.js 22 and later, or one that is given.
import { decodePacket, encodePacket } from "../packets.js";
import { isNode } from "../platform.js";
import { Transport } from "./transport.js";

/** Bytes that wait in the socket beyond which volatile events are dropped. */
const BACKLOG = 64 * 1024;

export class WebSocketTransport extends Transport {
  name = "websocket";
  /** @type {any} */
  #ws;

  /** Whether a packet would leave without much waiting. */
  get writable() {
    return this.readyState === "open" && this.#ws.bufferedAmount < BACKLOG;
  }

  open() {
    const { opts } = this;
    try {
      this.#ws = connect(this._url("ws", !!opts.timestampRequests), opts);
    } catch (error) {
      queueMicrotask(() => this._failed("websocket error", error));
      return;
    }
    const ws = this.#ws;
    ws.binaryType = "arraybuffer";
    ws.onopen = () => this._opened();
    ws.onclose = (/** @type {any} */ context) => this._closed({ description: "websocket connection closed", context });
    ws.onerror = (/** @type {any} */ event) => this._failed("websocket error", event);
    ws.onmessage = (/** @type {any} */ { data }) => {
      try {
        this._emit("packet", decodePacket(data));
      } catch (error) {
        this._failed("parser error", error);
      }
    };
  }

  /** @param {import("../packets.js").EnginePacket[]} packets */
  send(packets) {
    for (const packet of packets) if (this.#ws.readyState === 1) this.#ws.send(encodePacket(packet));
    // Later, so that packets of the same moment are sent together.
    queueMicrotask(() => this._emit("drain"));
  }

  close() {
    this.readyState = "closed";
    const ws = this.#ws;
    if (!ws) return;
    // Closing before the connection stands is an error to some implementations, and nobody's business any more.
    ws.onopen = ws.onclose = ws.onmessage = ws.onerror = () => {};
    ws.close();
  }
}

/**
 * Headers can be given in Node.js only, in two ways.
 * @param {string} url
 * @param {any} opts
 */
function connect(url, opts) {
  const { WebSocket, protocols = [], extraHeaders, cookies } = opts;
  const headers = { ...extraHeaders, ...cookies?._headers() };
  if (!isNode || !Object.keys(headers).length) return new WebSocket(url, protocols);
  return WebSocket === globalThis.WebSocket
    ? new WebSocket(url, { protocols, headers })
    : new WebSocket(url, protocols, { headers });
}
