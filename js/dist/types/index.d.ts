/**
 * @typedef {{
 *   <L extends import("./types.js").EventsMap = import("./types.js").DefaultEventsMap, E extends import("./types.js").EventsMap = L>(
 *     uri?: string | Options, opts?: Options): Socket<L, E>,
 *   io: Io, connect: Io, Manager: typeof Manager, Socket: typeof Socket, protocol: number }} Io
 */
/** See `lookup`; the event maps are given as `Socket<ServerToClient, ClientToServer>` where the result is kept. @type {Io} */
export const io: Io;
export type Options = Partial<import("./types.js").ManagerOptions & import("./types.js").SocketOptions & {
    forceNew: boolean;
    multiplex: boolean;
}>;
export type ManagerOptions = import("./types.js").ManagerOptions;
export type SocketOptions = import("./types.js").SocketOptions;
export type DisconnectDescription = import("./types.js").DisconnectDescription;
export type Io = {
    <L extends import("./types.js").EventsMap = import("./types.js").DefaultEventsMap, E extends import("./types.js").EventsMap = L>(uri?: string | Options, opts?: Options): Socket<L, E>;
    io: Io;
    connect: Io;
    Manager: typeof Manager;
    Socket: typeof Socket;
    protocol: number;
};
import { Manager } from "./manager.js";
import { Socket } from "./socket.js";
import { protocol } from "./parser.js";
export { Manager, Socket, protocol, io as connect, io as default };
