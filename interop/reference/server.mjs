// The contract of ../CONTRACT.md on the published Node.js server: the suite is proved against this program
// before it is run against ours.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { Server } from "socket.io";
import { commonHandlers, refuse } from "./handlers.mjs";

const require = createRequire(import.meta.url);
// The raw engine must be the very engine that socket.io uses, so it is resolved from there.
const { attach } = createRequire(require.resolve("socket.io"))("engine.io");

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    "ping-interval": { type: "string", default: "25000" },
    "ping-timeout": { type: "string", default: "20000" },
    shards: { type: "string", default: "1" }, // accepted and without meaning here: Node.js has one thread
    "tls-cert": { type: "string" },
    "tls-key": { type: "string" },
    parser: { type: "string" },
    "cors-origin": { type: "string", multiple: true },
    recovery: { type: "string" },
    "max-payload": { type: "string", default: "1000000" },
  },
});

const web = flags["tls-cert"]
  ? https.createServer({ cert: readFileSync(flags["tls-cert"]), key: readFileSync(flags["tls-key"]) })
  : http.createServer();

const engineOptions = {
  allowEIO3: true,
  destroyUpgrade: false, // two engines share the port: neither may end the other's upgrades
  pingInterval: Number(flags["ping-interval"]),
  pingTimeout: Number(flags["ping-timeout"]),
  maxHttpBufferSize: Number(flags["max-payload"]),
};
const crossOrigin = flags["cors-origin"]
  ? { cors: { origin: flags["cors-origin"], credentials: true }, cookie: { name: "io", sameSite: "lax" } }
  : {};
const recovery = flags.recovery
  ? { connectionStateRecovery: { maxDisconnectionDuration: Number(flags.recovery) } }
  : {};
const parser = flags.parser === "msgpack" ? { parser: require("socket.io-msgpack-parser") } : {};

// An answer of its own for every other path; the engines take over theirs when they attach, after this line.
web.on("request", (_request, response) => response.writeHead(404).end());
const io = new Server(web, { ...engineOptions, ...crossOrigin, ...recovery, ...parser, serveClient: false });
const raw = attach(web, { ...engineOptions, path: "/engine.io/" });
raw.on("connection", (socket) => socket.on("message", (message) => socket.send(message)));

const watchers = io.of("/watch");
const gone = (id, namespace, reason) => watchers.emit("gone", id, namespace, reason);
for (const namespace of [io.of("/"), io.of("/other"), io.of(/^\/dyn-\d+$/)]) {
  namespace.on("connection", (socket) => commonHandlers(io, socket, gone));
}
io.of("/refuse").use(refuse);

process.on("SIGTERM", () => {
  raw.close();
  io.close(() => process.exit(0));
  // Node.js waits for clients that do not close their side; the contract does not.
  setTimeout(() => process.exit(0), 1_000).unref();
});
web.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
web.listen(Number(flags.port), "127.0.0.1", () => console.log(`listening ${web.address().port}`));
