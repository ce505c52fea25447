// One client of an example: a socket over a chosen transport, and everything that it hears, in order.
import { strictEqual } from "node:assert/strict";
import { loadClient } from "../clients/index.mjs";
import { Inbox, once, within } from "../lib/tools.mjs";

/** How long one step of a case may take. */
export const STEP_MS = 5_000;

export const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  upgrade: ["polling", "websocket"],
};

/** A client that is being opened; `world` ends it with its case. */
export class Page {
  #inbox = new Inbox();

  constructor(world, client, transports, { path = "/", events = [], ...options }) {
    this.transports = transports;
    this.client = loadClient(client);
    this.socket = this.client.open(`${world.url}${path}`, {
      ...options,
      transports,
      reconnection: false,
      forceNew: true,
    });
    world.sockets.push(this.socket);
    for (const event of events) this.socket.on(event, (...args) => this.#inbox.push([event, ...args]));
    this.outcome = Promise.race([
      once(this.socket, "connect").then(() => ({ connected: true })),
      once(this.socket, this.client.refused).then(([error]) => ({ refusal: error.message ?? error })),
    ]);
  }

  /** Resolves when the socket is connected and its transport is the one that was asked for. */
  async connected() {
    const outcome = await within(STEP_MS, "connecting", this.outcome);
    strictEqual(outcome.refusal, undefined);
    const { engine } = this.socket.io;
    const last = this.transports.at(-1);
    if (engine.transport.name !== last) await within(STEP_MS, "the upgrade", once(engine, "upgrade"));
    strictEqual(engine.transport.name, last);
    return this;
  }

  /** The message of the refusal; fails if the server lets the client in. */
  async refused() {
    const outcome = await within(STEP_MS, "the refusal", this.outcome);
    strictEqual(outcome.connected, undefined, "the server let it in");
    return outcome.refusal;
  }

  /** The oldest event not taken yet, `[name, ...arguments]`. */
  heard() {
    return within(STEP_MS, "an event", this.#inbox.take());
  }
}
