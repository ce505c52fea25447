// Stand-ins for the network: a WebSocket and a fetch whose other side is the test.

/** Lets everything that waits for a resolved promise run. */
export async function settle() {
  for (let n = 0; n < 20; n += 1) await Promise.resolve();
}

/** A class of WebSockets; the sockets that were opened are in its `opened`. */
export function fakeWebSocket() {
  return class FakeWebSocket {
    static opened = [];
    readyState = 0;
    bufferedAmount = 0;
    sent = [];
    closed = false;

    constructor(url, protocols, options) {
      this.url = new URL(url);
      this.headers = options?.headers;
      FakeWebSocket.opened.push(this);
    }

    static get last() {
      return FakeWebSocket.opened.at(-1);
    }

    send(frame) {
      this.sent.push(frame);
    }

    close() {
      this.readyState = 3;
      this.closed = true;
    }

    /** The server accepts and sends its handshake. */
    accept(handshake = {}) {
      this.readyState = 1;
      this.onopen?.();
      const usual = { sid: "session", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 };
      this.receive(`0${JSON.stringify({ ...usual, ...handshake })}`);
    }

    /** A frame of the server. */
    receive(data) {
      this.onmessage?.({ data });
    }

    /** The connection is lost. */
    drop() {
      this.readyState = 3;
      this.onclose?.({ code: 1006 });
    }

    /** What was sent since the last call. */
    take() {
      return this.sent.splice(0);
    }
  };
}

/** A fetch whose requests are taken and answered by the test. */
export function fakeFetch() {
  const requests = [];
  const all = [];
  let arrived = () => {};
  const fetch = (url, { method, body, signal, headers, credentials }) =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      const answer = (text, status = 200, cookies = []) =>
        resolve(new Response(text, { status, headers: cookies.map((cookie) => ["set-cookie", cookie]) }));
      const request = { url: new URL(url), method, body, headers, credentials, answer, reject, signal };
      requests.push(request);
      all.push(request);
      arrived();
    });
  /** The next request of `method`, once there is one. */
  const take = async (method) => {
    for (;;) {
      const at = requests.findIndex((request) => request.method === method);
      if (at >= 0) return requests.splice(at, 1)[0];
      await new Promise((resolve) => (arrived = resolve));
    }
  };
  /** Lets all fail that have no answer yet. */
  const fail = () => {
    for (const { reject } of all) reject(new Error("the network is gone"));
  };
  return { fetch, requests, take, fail };
}

/** Lets all work that needs no timer and no network run. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

export const HANDSHAKE =
  '0{"sid":"session","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}';
