// Runs the whole matrix of real clients against a server under test. See README.md for the options.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chatBeside, chatCases, runChat } from "./browser/chat.mjs";
import { browserCases, runBrowser } from "./browser/suite.mjs";
import { exampleCases, examplesBeside, runExamples } from "./examples/suite.mjs";
import { makeCertificate } from "./lib/cert.mjs";
import { groups } from "./lib/matrix.mjs";
import { Report } from "./lib/report.mjs";
import { SharedServers } from "./lib/shared.mjs";
import { readSkips } from "./lib/skips.mjs";
import { casesOf, runGroup } from "./lib/workers.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values: options } = parseArgs({
  options: {
    server: { type: "string" },
    examples: { type: "string" },
    program: { type: "string" },
    reference: { type: "boolean", default: false },
    "python-server": { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    list: { type: "boolean", default: false },
    jobs: { type: "string", default: "3" },
  },
});
const pythonServer = options["python-server"];
if (!options.server && !options.reference && !pythonServer && !options.list) {
  console.error(
    "usage: node run.mjs (--server '<command>' [--examples directory] [--program trunkline] | --reference | --python-server) " +
      "[--only text].. [--list] [--jobs n]",
  );
  process.exit(2);
}
const reference = [process.execPath, here("reference/server.mjs")];
const python = [here(".cache/venv/bin/python"), here("python/server.py")];
const command = options.server ? options.server.split(/\s+/) : pythonServer ? python : reference;
const wanted = (name) => options.only.every((text) => name.includes(text));

// What is there for the server's sake is left out for python-socketio's: it is here to prove clients, and has no shards.
const plan = groups()
  .filter(({ shards }) => !pythonServer || shards === 1)
  .map((group) => ({ group, cases: casesOf(group).filter((name) => wanted(`${group.name}/${name}`)) }))
  .filter(({ cases }) => cases.length > 0);
const browser = browserCases()
  .filter((name) => !pythonServer || name.startsWith("browser/trunkline"))
  .filter(wanted);
const examples = pythonServer ? [] : exampleCases().filter(wanted);
// The chat is an app of the program `trunkline`: the reference server has none.
const chat = options.reference || pythonServer ? [] : chatCases().filter(wanted);
if (options.list) {
  for (const { group, cases } of plan) for (const name of cases) console.log(`${group.name}/${name}`);
  for (const name of [...browser, ...chat, ...examples]) console.log(name);
  process.exit(0);
}

const lists = ["skips.toml"];
if (options.reference) lists.push("reference/differences.toml");
if (pythonServer) lists.push("python/differences.toml");
const skips = readSkips(...lists.map(here));
const report = new Report(skips);
const scratch = mkdtempSync(join(tmpdir(), "trunkline-interop-"));
const servers = new SharedServers(command, makeCertificate(scratch));
try {
  const queue = plan.slice();
  await Promise.all(
    Array.from({ length: Number(options.jobs) }, async () => {
      for (let next; (next = queue.shift());) await runGroup(next.group, next.cases, servers, report);
    }),
  );
  if (browser.length > 0) await runBrowser(browser, command, scratch, report);
  if (chat.length > 0) await runChat(chat, options.program ?? chatBeside(command), scratch, report);
  if (examples.length > 0) await runExamples(examples, options.examples ?? examplesBeside(command), report);
} finally {
  await servers.end(report);
  rmSync(scratch, { recursive: true, force: true });
}
process.exit(report.finish());
