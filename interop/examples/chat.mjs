// examples/chat.rs: two people in the lobby, their posts and receipts, and who may not come in.
import { deepStrictEqual as equal, ok, strictEqual } from "node:assert/strict";
import { unique, within } from "../lib/tools.mjs";
import { Page, STEP_MS, TRANSPORTS } from "./page.mjs";

const CLIENT = "socket.io-client-4";
const EVENTS = ["joined", "post", "typing", "left"];

const SCENARIOS = { conversation, "no-name": noName };

export const chatScenarios = Object.entries(TRANSPORTS).flatMap(([transport, transports]) =>
  Object.entries(SCENARIOS).map(([scenario, run]) => ({
    name: `chat/${CLIENT}/${transport}/${scenario}`,
    program: "chat",
    run: (world) => run((auth) => new Page(world, CLIENT, transports, { path: "/chat", events: EVENTS, auth })),
  })),
);

async function conversation(enter) {
  const [annName, bobName] = [{ name: unique("ann") }, { name: unique("bob") }];
  const ann = await enter(annName).connected();
  const bob = await enter(bobName).connected();
  equal(await ann.heard(), ["joined", bobName]);

  const first = await post(ann, "hello 😀");
  ok(Number.isInteger(first.id), JSON.stringify(first));
  equal(first, { id: first.id });
  equal(await bob.heard(), ["post", first.id, annName, "hello 😀"]);

  equal(await post(ann, "  "), { error: { message: "an empty post" } });

  ann.socket.emit("typing");
  equal(await bob.heard(), ["typing", annName]);

  // Neither the empty post nor an echo of her own comes before the answer.
  const second = await post(bob, "hello ann");
  equal(second, { id: first.id + 1 });
  equal(await ann.heard(), ["post", second.id, bobName, "hello ann"]);

  bob.socket.close();
  equal(await ann.heard(), ["left", bobName, "client namespace disconnect"]);
}

async function noName(enter) {
  strictEqual(await enter({ name: "" }).refused(), "a name of 1 to 32 bytes is needed");
  ok((await enter({}).refused()).length > 0);
}

const post = (page, text) =>
  within(STEP_MS, "the receipt", new Promise((resolve) => page.socket.emit("post", text, resolve)));
