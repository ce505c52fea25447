// Does anybody lose an event when connections break and the server is killed?
//
//   node storm.mjs --strict \
//     --server '../target/release/trunkline --port {port} --recovery 2m --recovery-file {dir} --max-events-per-second 0'
//   node storm.mjs --server 'node reference/storm-server.mjs {port}' --kills 0
//
// Half of the clients run here: the published socket.io-client and our browser client in turn. The other half is our Rust client in
// `trunkline verify` (--program). Both halves publish numbered events to rooms of their own, through relays that cut their receivers'
// connections at random or leave them half open; publishers connect directly. Meanwhile the server is killed with SIGKILL and started
// again at its port (--kills). {port} and {dir}, a folder of the run for what the server keeps, are put into its command.
//
// What a publisher can know. Each number is sent once and never again. If its acknowledgement came, the server took it, and every
// receiver of its room must hear it once, in order: to that the server is held, also if it is killed right after the acknowledgement.
// If the connection broke before, the number is unsure: the server died before it read it, or while it answered. It may be heard by
// everybody, by nobody, or by those whom the server reached before it died; so its absence proves nothing, and is not counted. But as
// it was sent once, hearing it twice is still wrong. A publisher that retried would blur that: two copies could be its own doing. That
// an event is taken once although it is sent twice is another promise, with tests of its own.
// The place of an unsure number is not judged either: what the old connection still held may be read after the first events of the new one.
//
// What a receiver can know. If it is told that it was recovered, nothing may be missing. If it is told that it is new, the server owned
// up to a gap: from the last number heard to the first one sent after its next join was answered. With --strict a gap is a failure.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Room } from "./storm/ledger.mjs";
import { Publisher } from "./storm/publisher.mjs";
import { Receiver } from "./storm/receiver.mjs";
import { Relays } from "./storm/relays.mjs";
import { freePort, Server } from "./storm/server.mjs";
import { startVerify } from "./storm/verify.mjs";
import { table, verdict } from "./storm/report.mjs";

const { values: options } = parseArgs({
  options: {
    server: { type: "string" },
    program: { type: "string", default: fileURLToPath(new URL("../target/release/trunkline", import.meta.url)) },
    clients: { type: "string", default: "200" },
    rooms: { type: "string", default: "20" },
    rate: { type: "string", default: "1000" },
    seconds: { type: "string", default: "60" },
    kills: { type: "string", default: "3" },
    "cuts-per-second": { type: "string", default: "5" },
    "half-open": { type: "string", default: "0.3" },
    settle: { type: "string", default: "40" },
    strict: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
if (!options.server) {
  console.error("usage: node storm.mjs --server '<command with {port}>' [--kills n] [--strict] [--json] [--clients n] ..; see its head");
  process.exit(2);
}
const [clients, rooms, rate, seconds, kills, cuts, settle] = [
  "clients", "rooms", "rate", "seconds", "kills", "cuts-per-second", "settle",
].map((name) => Number(options[name]) / (["clients", "rooms", "rate", "cuts-per-second"].includes(name) ? 2 : 1));
const halfOpen = Number(options["half-open"]);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const dir = mkdtempSync(join(tmpdir(), "trunkline-storm-"));
const port = await freePort();
const server = new Server(options.server.replaceAll("{port}", port).replaceAll("{dir}", dir), port);
const relays = new Relays();
let verify;
let failed = true;
try {
  await server.start();
  const flags = { clients, rooms, rate, seconds, cuts, settle, halfOpen };
  verify = startVerify(options.program, port, { ...flags, strict: options.strict });

  const heard = Array.from({ length: rooms }, (_, n) => new Room(`storm-${process.pid}-${n}`));
  const publishers = heard.map((room) => new Publisher(port, room));
  const ports = await relays.start(clients, port);
  const receivers = ports.map((relay, n) => new Receiver(n % 2 ? "trunkline-js" : "socket.io-client-4", relay, heard[n % rooms]));
  await Promise.all([...publishers, ...receivers].map((member) => member.joined));
  await verify.started;

  relays.storm({ perSecond: cuts, halfOpen, holdMs: 3_000 });
  const killing = (async () => {
    for (let n = 0; n < kills; n += 1) {
      await pause((seconds * 1_000) / (kills + 1));
      await server.kill();
      await server.start();
    }
  })();
  killing.catch(() => {}); // awaited below; until then it must not end the program
  await publish(publishers);
  await killing;
  const counted = await relays.calm();
  const until = Date.now() + settle * 1_000;
  while (Date.now() < until && receivers.some((receiver) => receiver.waits())) await pause(50);
  await pause(500); // what comes a second time comes late

  const rust = await verify.report;
  const found = verdict(heard, receivers, counted, rust, kills);
  failed = !found.ok || (options.strict && found.total.in_gaps > 0);
  console.log(options.json ? JSON.stringify(found) : table(found));
  for (const member of [...receivers, ...publishers]) member.close();
} catch (error) {
  console.error(error);
  if (server.said) console.error(`the server's last words:\n${server.said}`);
} finally {
  verify?.end();
  await relays.end();
  await server.kill();
  rmSync(dir, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

/** Publishes at the rate, to one room after the other, and waits for the answers. */
async function publish(publishers) {
  const began = performance.now();
  for (let done = 0; ; ) {
    const passed = Math.min((performance.now() - began) / 1_000, seconds);
    for (; done < Math.floor(passed * rate); done += 1) publishers[done % publishers.length].publish();
    if (passed >= seconds) break;
    await pause(5);
  }
  await Promise.all(publishers.map((publisher) => publisher.answered()));
}
