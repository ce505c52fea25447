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
export function parseUrl(uri: string | undefined, page?: {
    protocol: string;
    host: string;
} | undefined): Address;
/**
 * Percent-encoded throughout: a space is never a plus sign.
 * @param {Record<string, any>} query
 */
export function encodeQuery(query: Record<string, any>): string;
/**
 * `host` is host and port as written, `id` is equal for all ways to write one server.
 */
export type Address = {
    id: string;
    host: string;
    hostname: string;
    secure: boolean;
    namespace: string;
    query: Record<string, string>;
};
