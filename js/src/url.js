// From what an application passes to `io()` to a server's address, a namespace and a query.

/**
 * `host` is host and port as written, `id` is equal for all ways to write one server.
 * @typedef {{ id: string, host: string, hostname: string, secure: boolean, namespace: string, query: Record<string, string> }} Address
 */

/**
 * Understands `https://host/namespace?query`, `//host`, `host:port`, `/namespace` and nothing; the last two mean the page's
 * own server. Throws a TypeError where there is no page or the address is none. The namespace is not decoded.
 * @param {string | undefined} uri
 * @param {{ protocol: string, host: string } | undefined} [page]
 * @returns {Address}
 */
export function parseUrl(uri, page = globalThis.location) {
  let text = uri ?? "/";
  const pageScheme = page?.protocol.startsWith("http") ? page.protocol : "https:";
  if (/^\/(?!\/)/.test(text)) {
    if (!page) throw new TypeError("an address without a host needs a page");
    text = `//${page.host}${text}`;
  }
  if (text.startsWith("//")) text = pageScheme + text;
  else if (!/^\w+:\/\//.test(text)) text = `${pageScheme}//${text}`;
  const [, scheme, authority, namespace, search] = /^(\w+):\/\/([^/?#]*)([^?#]*)\??([^#]*)/.exec(text) ?? [];
  if (!/^(http|ws)s?$/.test(scheme)) throw new TypeError(`not an address of a server: ${uri}`);
  const secure = scheme.endsWith("s");
  const { host, hostname, port } = new URL(`${secure ? "https" : "http"}://${authority.replace(/^.*@/, "")}`);
  const id = `${secure ? "https" : "http"}://${hostname}:${port || (secure ? 443 : 80)}`;
  return { id, host, hostname, secure, namespace: namespace || "/", query: decodeQuery(search) };
}

/**
 * @param {string} text
 * @returns {Record<string, string>}
 */
function decodeQuery(text) {
  return Object.fromEntries(new URLSearchParams(text));
}

/**
 * Percent-encoded throughout: a space is never a plus sign.
 * @param {Record<string, any>} query
 */
export function encodeQuery(query) {
  return Object.entries(query)
    .map((pair) => pair.map(encodeURIComponent).join("="))
    .join("&");
}
