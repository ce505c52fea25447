// One client in a process of its own, so that a case can stop it in the middle of a conversation.
import { loadClient } from "./clients/index.mjs";
import { Context, connected } from "./lib/context.mjs";
import { once } from "./lib/tools.mjs";

const { group, port } = JSON.parse(process.argv[2]);
const socket = new Context(group, loadClient(group.client), { port }).socket();
await connected(socket);
const { engine } = socket.io;
if (group.transport === "upgrade" && engine.transport.name !== "websocket") await once(engine, "upgrade");
// One heartbeat on the final transport first, so that the connection is lost in the middle of its life.
await Promise.race(["ping", "pong", "heartbeat"].map((event) => once(engine, event)));
console.log(socket.id);
