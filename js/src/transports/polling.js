// HTTP long-polling: one GET that waits for packets, one POST at a time that sends them.
import { decodePayload, encodePayload } from "../packets.js";
import { Transport } from "./transport.js";

export class Polling extends Transport {
  name = "polling";
  /** Whether a POST may begin. */
  writable = false;
  #abort = new AbortController();
  #polling = false;
  /** @type {Promise<string> | undefined} */
  #payload;
  /** @type {(() => void) | undefined} */
  #onIdle;

  open() {
    this.#poll();
  }

  /** @param {import("../packets.js").EnginePacket[]} packets */
  async send(packets) {
    this.writable = false;
    const sent = await this.#request("POST", (this.#payload = encodePayload(packets)));
    if (sent === undefined) return;
    this.writable = true;
    this._emit("drain");
    this.#settle();
  }

  /**
   * Lets the running requests end and begins no other; then calls `done`.
   * @param {() => void} done
   */
  _pause(done) {
    this.readyState = "pausing";
    this.#onIdle = done;
    this.#settle();
  }

  /** Goes on after a pause that led to nothing. */
  _resume() {
    this.#onIdle = undefined;
    this.readyState = "open";
    if (!this.#polling) this.#poll();
  }

  /** Tells the server and stops waiting for it. */
  close() {
    const { readyState } = this;
    if (readyState === "closed") return;
    this.readyState = "closed";
    const stop = () => this.#abort.abort();
    if (readyState === "opening") stop();
    else this.#request("POST", encodePayload([{ type: "close" }])).then(stop);
  }

  async #poll() {
    this.#polling = true;
    // An answer to what has come goes out before the next request, as with the official client.
    await Promise.allSettled([this.#payload]);
    const body = await this.#request("GET");
    if (body === undefined || this.readyState === "closed") return;
    let packets;
    try {
      packets = decodePayload(body);
    } catch (error) {
      return this._failed("parser error", error);
    }
    for (const packet of packets) {
      if (this.readyState === "opening" && packet.type === "open") {
        this.writable = true;
        this._opened();
      }
      if (packet.type === "close") return this._closed({ description: "closed by the server" });
      this._emit("packet", packet);
      if (/** @type {string} */ (this.readyState) === "closed") return;
    }
    this.#polling = false;
    if (this.readyState === "open") this.#poll();
    else this.#settle();
  }

  #settle() {
    if (this.readyState !== "pausing" || this.#polling || !this.writable) return;
    this.readyState = "paused";
    this.#onIdle?.();
  }

  /**
   * The answer's text, or undefined after a failure, which it reports.
   * @param {string} method
   * @param {Promise<string>} [payload]
   */
  async #request(method, payload) {
    const { signal } = this.#abort;
    const { fetch = globalThis.fetch, withCredentials, requestTimeout, extraHeaders, timestampRequests, cookies } = this.opts;
    let description;
    let context;
    try {
      const response = await fetch(this._url("http", timestampRequests !== false), {
        method,
        body: await payload,
        headers: { ...extraHeaders, ...cookies?._headers() },
        credentials: withCredentials ? "include" : "same-origin",
        signal: requestTimeout ? AbortSignal.any([signal, AbortSignal.timeout(requestTimeout)]) : signal,
      });
      cookies?._keep(response);
      const responseText = await response.text();
      if (response.ok) return responseText;
      description = response.status;
      context = { status: description, responseText };
    } catch (error) {
      if (signal.aborted) return;
      description = error;
    }
    // The name that applications know.
    this._failed(`xhr ${method === "GET" ? "poll" : "post"} error`, description, context);
  }
}
