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

    constructor(url) {
      this.url = new URL(url);
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

/** A fetch whose requests wait in `requests` until the test answers them. */
export function fakeFetch() {
  const requests = [];
  const fetch = (url, { method, body, signal, headers }) =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      const answer = (text, status = 200) => resolve(new Response(text, { status }));
      requests.push({ url: new URL(url), method, body, headers, answer, reject, signal });
    });
  /** The next request of `method`, taken out. */
  const take = (method) => {
    const at = requests.findIndex((request) => request.method === method);
    return at < 0 ? undefined : requests.splice(at, 1)[0];
  };
  return { fetch, requests, take };
}

export const HANDSHAKE =
  '0{"sid":"session","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}';
