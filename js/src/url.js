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
  if (page && /^\/(?!\/)/.test(text)) text = `//${page.host}${text}`;
  const pattern = /^(?:(?:(?:http|ws)(s?):)?\/\/)?([^/?#]*[^/?#:])(\/[^?#]*)?(?:\?([^#]*))?(?:#.*)?$/i;
  const [, s, authority, namespace = "/", search] = pattern.exec(text) ?? [];
  if (!authority) throw new TypeError(`invalid address: ${uri}`);
  const secure = !!(s ?? page?.protocol !== "http:");
  const { host, hostname, port, origin } = new URL(`http${secure ? "s" : ""}://${authority}`);
  const id = port ? origin : `${origin}:${secure ? 443 : 80}`;
  return { id, host, hostname, secure, namespace, query: Object.fromEntries(new URLSearchParams(search)) };
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
