// TCP relays before the server, one for each receiver, in a thread of their own; they break what goes through them.
import { createServer, connect } from "node:net";
import { Worker, isMainThread, parentPort } from "node:worker_threads";

/** The relays, as the main thread has them. */
export class Relays {
  #worker = new Worker(new URL(import.meta.url));

  /** The ports of `count` relays to `server`. */
  start(count, server) {
    return this.#ask({ start: { count, server } });
  }

  /** Breaks connections at random from now on; the share `halfOpen` of them without telling both sides for `holdMs`. */
  storm(settings) {
    this.#worker.postMessage({ storm: settings });
  }

  /** Ends the storm, and what is half open; resolves with the number of cuts by their kind. */
  calm() {
    return this.#ask({ calm: true });
  }

  end() {
    return this.#worker.terminate();
  }

  #ask(message) {
    return new Promise((resolve, reject) => {
      this.#worker.once("message", resolve).once("error", reject);
      this.#worker.postMessage(message);
    });
  }
}

if (!isMainThread) {
  const relays = [];
  const cuts = { reset: 0, closed: 0, silent: 0, half_open: 0 };
  const held = new Set();
  let timer;

  parentPort.on("message", async ({ start, storm, calm }) => {
    if (start) {
      const ports = Array.from({ length: start.count }, () => relay(start.server));
      parentPort.postMessage(await Promise.all(ports));
    }
    if (storm?.perSecond > 0) next(storm);
    if (calm) {
      clearTimeout(timer);
      for (const release of [...held]) release();
      parentPort.postMessage(cuts);
    }
  });

  function relay(server) {
    const links = new Set();
    relays.push(links);
    const listener = createServer((client) => {
      const link = { client, server: connect(server, "127.0.0.1"), cut: false };
      links.add(link);
      for (const side of [link.client, link.server]) {
        side.setNoDelay(true);
        side.on("error", () => {});
        side.on("close", () => {
          links.delete(link);
          // A cut decides by itself who is told, and when.
          if (!link.cut) for (const other of [link.client, link.server]) other.destroy();
        });
      }
      link.client.pipe(link.server);
      link.server.pipe(link.client);
    });
    return new Promise((resolve) => listener.listen(0, "127.0.0.1", () => resolve(listener.address().port)));
  }

  /** Events at random, so many in a second on average. */
  function next(storm) {
    timer = setTimeout(
      () => {
        cut(relays[Math.floor(Math.random() * relays.length)], storm);
        next(storm);
      },
      (-Math.log(1 - Math.random()) / storm.perSecond) * 1_000,
    );
  }

  function cut(links, { halfOpen, holdMs }) {
    if (links.size === 0) return;
    const tells = Math.random() < 0.5;
    const kind = Math.random() < halfOpen ? (tells ? "half_open" : "silent") : tells ? "reset" : "closed";
    cuts[kind] += 1;
    for (const link of [...links]) {
      link.cut = true;
      links.delete(link);
      link.client.unpipe().pause();
      link.server.unpipe().pause();
      const sides = [link.client, link.server];
      if (kind === "closed") for (const side of sides) side.destroy();
      if (kind === "reset") for (const side of sides) side.resetAndDestroy();
      if (kind === "half_open") link.client.resetAndDestroy();
      if (kind === "half_open" || kind === "silent") hold(() => sides.forEach((side) => side.resetAndDestroy()), holdMs);
    }
  }

  function hold(end, ms) {
    const release = () => {
      clearTimeout(waiting);
      held.delete(release);
      end();
    };
    const waiting = setTimeout(release, ms);
    held.add(release);
  }
}
