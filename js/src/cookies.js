// The cookies of one session in Node.js, where nobody else keeps them: load balancers know a session by them.

export class CookieJar {
  /** @type {Map<string, string>} */
  #cookies = new Map();

  /** @param {Response} response */
  _keep(response) {
    for (const line of response.headers.getSetCookie?.() ?? []) {
      const [, name, value] = /^([^=;]+)=([^;]*)/.exec(line) ?? [];
      if (name) this.#cookies.set(name, value);
    }
  }

  /**
   * What to add to the headers of a request.
   * @returns {Record<string, string>}
   */
  _headers() {
    const cookie = [...this.#cookies].map((pair) => pair.join("=")).join("; ");
    return cookie ? { cookie } : {};
  }
}
