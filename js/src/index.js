// The entry: `io()` and the classes behind it.
import { Manager } from "./manager.js";
import { protocol } from "./parser.js";
import { Socket } from "./socket.js";
import { parseUrl } from "./url.js";

export { Manager, Socket, protocol };

/** @typedef {Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions & { forceNew: boolean, multiplex: boolean }>} Options */

/** @typedef {import("./types.js").ManagerOptions} ManagerOptions */
/** @typedef {import("./types.js").SocketOptions} SocketOptions */
/** @typedef {import("./types.js").DisconnectDescription} DisconnectDescription */

/** The connections that may be shared, by server and path. @type {Map<string, Manager<any, any>>} */
const managers = new Map();

/**
 * A socket for the namespace that `uri`'s path names (none: `/`), over a connection that is shared with the other namespaces
 * of the same server, unless `forceNew` is true, `multiplex` is false, or the namespace is in use there already.
 * Without `uri` the server is the page's own. Throws a TypeError if `uri` is no address.
 *
 * @param {string | Options} [uri]
 * @param {Options} [opts]
 * @returns {Socket<any, any>}
 */
function lookup(uri, opts = {}) {
  if (typeof uri === "object") [uri, opts] = [undefined, uri];
  const { id, namespace, query } = parseUrl(uri);
  const key = id + (opts.path ?? "/socket.io");
  if (Object.keys(query).length && !opts.query) opts = { ...opts, query };
  let manager = managers.get(key);
  const isNew = opts.forceNew || opts.multiplex === false || (manager && namespace in manager.nsps);
  if (isNew) manager = new Manager(id, opts);
  else if (!manager) managers.set(key, (manager = new Manager(id, opts)));
  return /** @type {Manager<any, any>} */ (manager).socket(namespace, opts);
}

/**
 * @typedef {{
 *   <L extends import("./types.js").EventsMap = import("./types.js").DefaultEventsMap, E extends import("./types.js").EventsMap = L>(
 *     uri?: string | Options, opts?: Options): Socket<L, E>,
 *   io: Io, connect: Io, Manager: typeof Manager, Socket: typeof Socket, protocol: number }} Io
 */

/** See `lookup`; the event maps are given as `Socket<ServerToClient, ClientToServer>` where the result is kept. @type {Io} */
export const io = Object.assign(/** @type {any} */ (lookup), { Manager, Socket, protocol });
io.io = io.connect = io;

export { io as connect, io as default };
