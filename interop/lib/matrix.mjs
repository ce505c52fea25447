// Which client runs over which transport, with or without TLS, against how many shards.

/** `kind` says which worker runs the client; the rest of an entry is explained in clients/index.mjs. */
const CLIENTS = [
  { client: "socket.io-client-4", kind: "socket.io" },
  { client: "socket.io-client-4-msgpack", kind: "socket.io", parser: "msgpack" },
  { client: "socket.io-client-3", kind: "socket.io" },
  { client: "socket.io-client-2", kind: "socket.io" },
  { client: "socket.io-client-1", kind: "socket.io" },
  { client: "trunkline-js", kind: "socket.io" },
  { client: "trunkline-js-msgpack", kind: "socket.io", parser: "msgpack" },
  { client: "engine.io-client-6", kind: "engine.io" },
  { client: "engine.io-client-3", kind: "engine.io" },
  { client: "python-socketio", kind: "python" },
  { client: "python-socketio-asyncio", kind: "python" },
  { client: "trunkline-client", kind: "rust" },
  { client: "trunkline-client-msgpack", kind: "rust", parser: "msgpack" },
];

/** How a client's connection begins and where it ends up. */
export const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  upgrade: ["polling", "websocket"],
};

/** Every combination; the cases of one group share a client process and, mostly, a server. */
export function groups() {
  const all = [];
  for (const tls of [false, true]) {
    for (const shards of [1, 4]) {
      for (const entry of CLIENTS) {
        for (const transport of Object.keys(TRANSPORTS)) {
          const name = `${entry.client}/${transport}/${tls ? "wss" : "ws"}/shards-${shards}`;
          all.push({ name, ...entry, transport, tls, shards });
        }
      }
    }
  }
  return all;
}

/** The part of a server's flags that a group decides; groups with equal flags share a server. */
export function serverFlags(group, certificate) {
  const flags = ["--shards", String(group.shards), "--max-payload", "2000000"];
  if (group.tls) flags.push("--tls-cert", certificate.cert, "--tls-key", certificate.key);
  if (group.parser) flags.push("--parser", group.parser);
  return flags;
}
