// What both halves found, summed by the kind of client.
import { REFUSED, TAKEN, UNSURE } from "./ledger.mjs";

const WRONG = ["lost", "duplicated", "reordered", "stray", "invented"];

/** The numbers of all, as one object. `rust` is the report of `trunkline verify`. */
export function verdict(rooms, receivers, cuts, rust, kills) {
  const kinds = {};
  const examples = [];
  for (const receiver of receivers) {
    const found = receiver.heard.judge(receiver.room);
    const sum = (kinds[receiver.kind] ??= empty());
    sum.receivers += 1;
    sum.connects += receiver.counts.connects;
    sum.recovered += receiver.counts.recovered;
    sum.away += receiver.socket.connected ? 0 : 1;
    sum.stray += receiver.stray;
    for (const name of ["expected", "received", "invented"]) sum[name] += found[name];
    for (const name of ["lost", "in_gaps", "duplicated", "reordered"]) {
      sum[name] += found[name].length;
      if (name !== "in_gaps" && found[name].length > 0) {
        examples.push({ client: receiver.kind, room: receiver.room.name, [name]: found[name].slice(0, 20) });
      }
    }
  }
  const { deliveries, connections, published } = rust;
  const { connects, recovered, away } = connections;
  kinds["trunkline-client"] = { ...empty(), receivers: rust.clients, connects, recovered, away, ...deliveries };
  const total = empty();
  for (const sum of Object.values(kinds)) for (const name of Object.keys(total)) total[name] += sum[name];

  const count = (fate) => rooms.reduce((sum, room) => sum + room.fates.filter((known) => known === fate).length, 0);
  const skipped = rooms.reduce((sum, room) => sum + room.skipped, 0);
  const all = {
    acknowledged: count(TAKEN) + published.acknowledged,
    unsure: count(UNSURE) + published.unsure,
    refused: count(REFUSED) + published.refused,
    skipped: skipped + published.skipped,
  };
  const cut = Object.fromEntries(Object.keys(cuts).map((kind) => [kind, cuts[kind] + connections.cuts[kind]]));
  const ok = WRONG.every((name) => total[name] === 0);
  return { ok, kills, published: all, cuts: cut, total, kinds, examples: [...examples, ...rust.receivers].slice(0, 20) };
}

const empty = () => ({
  receivers: 0, connects: 0, recovered: 0, away: 0, expected: 0, received: 0, lost: 0, in_gaps: 0, duplicated: 0, reordered: 0,
  stray: 0, invented: 0,
});

/** The same for people. */
export function table({ ok, kills, published, cuts, total, kinds, examples }) {
  const list = (numbers) => Object.entries(numbers).map(([name, n]) => `${n} ${name.replace("_", " ")}`).join(", ");
  const names = Object.keys(total);
  const rows = [["client", ...names], ...Object.entries({ ...kinds, total }).map(([kind, sum]) => [kind, ...names.map((n) => sum[n])])];
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => String(row[at]).length)));
  const lines = rows.map((row) => row.map((cell, at) => (at ? String(cell).padStart(widths[at]) : cell.padEnd(widths[0]))).join("  "));
  return [
    `published: ${list(published)}`,
    `connections: ${list(cuts)}; the server was killed ${kills} times`,
    ...lines,
    ...examples.map((example) => JSON.stringify(example)),
    ok ? "0 lost, 0 twice, in order" : "FAILED",
  ].join("\n");
}
