// The chat of the program `trunkline`: its page in headless Chromium, several windows, and a server that is killed meanwhile.
import { deepStrictEqual as equal, match, ok, strictEqual } from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { chromium } from "playwright-core";
import { startProgram } from "../lib/server.mjs";
import { within } from "../lib/tools.mjs";
import { ARGS, CHROMIUM } from "./suite.mjs";

const CASE_MS = 60_000;
const START_MS = 15_000;
/** How long a window may take for one step, the time between two attempts to reconnect included. */
const STEP_MS = 10_000;
const LISTENING = / listening on http:\/\/127\.0\.0\.1:(\d+) /;

const SCENARIOS = {
  gallery,
  "bundle-address": bundleAddress,
  "two-windows": twoWindows,
  typing,
  unread,
  "private-message": privateMessage,
  "private-message-to-nobody": privateMessageToNobody,
  "nickname-taken": nicknameTaken,
  "refused-without-a-code": refusedWithoutACode,
  "hostile-text": hostileText,
  reload,
  "second-window-takes-over": secondWindowTakesOver,
  keyboard,
  drafts,
  "narrow-screen": narrowScreen,
  "polling-only": pollingOnly,
  "killed-server": killedServer,
  "lost-receipt": lostReceipt,
  "order-of-messages": orderOfMessages,
};

export const chatCases = () => Object.keys(SCENARIOS).map((name) => `browser-chat/${name}`);

/** Where cargo puts the program when it puts that of `command` into the same folder. */
export const chatBeside = ([program]) => join(dirname(program), "trunkline");

/** Runs the named cases with one browser, each with a server of its own; all end here, whatever happens. */
export async function runChat(names, program, scratch, report) {
  const cases = Object.entries(SCENARIOS).filter(
    ([name]) => names.includes(`browser-chat/${name}`) && !report.skip(`browser-chat/${name}`),
  );
  if (cases.length === 0) return;
  let browser;
  try {
    for (const path of [program, CHROMIUM]) if (!existsSync(path)) throw new Error(`${path} is missing`);
    browser = await chromium.launchPersistentContext(join(scratch, "chromium-chat"), {
      executablePath: CHROMIUM,
      headless: true,
      args: ARGS.split(" "),
    });
  } catch (error) {
    for (const [name] of cases) report.add(`browser-chat/${name}`, `cannot begin: ${error.stack}`);
    return;
  }
  try {
    for (const [name, run] of cases) await runCase(name, run, { program, browser }, report);
  } finally {
    await browser.close();
  }
}

async function runCase(name, run, { program, browser }, report) {
  const world = new World(program, browser);
  const began = performance.now();
  const failure = await within(CASE_MS, "the whole case", world.start().then(() => run(world))).then(
    () => undefined,
    async (error) => `${error.stack}\n${await world.describe()}`,
  );
  await world.end();
  report.add(`browser-chat/${name}`, failure, performance.now() - began);
}

/** A server, and the windows that look at it. */
class World {
  windows = [];

  constructor(program, browser) {
    this.program = program;
    this.browser = browser;
  }

  async start({ port = 0, flags = [] } = {}) {
    const command = [this.program, "--port", String(port), "--internal", "off", ...flags];
    const deadline = Date.now() + START_MS;
    for (;;) {
      try {
        this.server = await startProgram(command, { ms: START_MS, listening: LISTENING, output: "stderr" });
        break;
      } catch (error) {
        // An outgoing connection may have the number for a moment.
        if (port === 0 || Date.now() > deadline) throw error;
        await after(100);
      }
    }
    this.url = `http://127.0.0.1:${this.server.port}`;
  }

  /** A new window; `prepare` may change its network before it loads the page. */
  async open(path = "/chat.html", prepare = async () => {}) {
    const window = new Window(await this.browser.newPage());
    this.windows.push(window);
    await prepare(window.page);
    await window.page.goto(`${this.url}${path}`);
    return window;
  }

  /** A window in which somebody has entered the chat. */
  async person(nickname) {
    const window = await this.open();
    await window.enter(nickname);
    return window;
  }

  async describe() {
    const texts = this.windows.map(({ page, errors }) =>
      within(2_000, "the page's text", page.locator("body").innerText()).then(
        (text) => `--- a window: ${text.replace(/\n+/g, " | ")} ${errors.join(" ")}`,
        (error) => `--- a window: ${error.message}`,
      ),
    );
    return (await Promise.all(texts)).join("\n");
  }

  async end() {
    for (const { page } of this.windows) await page.close();
    await this.server?.kill();
  }
}

/** One window of the chat, by what a person sees in it. */
class Window {
  /** What scripts of the page have thrown, and what the browser has refused them. */
  errors = [];

  constructor(page) {
    this.page = page;
    page.setDefaultTimeout(STEP_MS);
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) this.errors.push(message.text());
    });
  }

  async enter(nickname) {
    await this.page.getByLabel("Nickname").fill(nickname);
    await this.click({ name: "Enter" });
    await this.connected();
  }

  connected = () => this.sees("#status", /^Connected over/);

  /** Clicks a button. A window behind others paints once a second: it comes to the front first. */
  async click(button) {
    await this.page.bringToFront();
    await this.page.getByRole("button", button).click();
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
  }

  async join(room) {
    await this.page.getByLabel("Join or open a room").fill(room);
    await this.page.keyboard.press("Enter");
    await this.sees("#title", room.toLowerCase());
  }

  /** Waits until the text of an element is this, or matches it. */
  async sees(selector, expected) {
    const fits = (text) => (expected instanceof RegExp ? expected.test(text) : text === expected);
    await this.until(selector, async () => (await this.page.locator(selector).innerText()).trim(), fits, expected);
  }

  /** Waits until these people are in the room. */
  async meets(expected) {
    const shown = () =>
      this.page.locator("#here > li > *").evaluateAll((items) => items.map(({ firstChild }) => firstChild.textContent));
    await this.until("#here", shown, (names) => JSON.stringify(names) === JSON.stringify(expected), expected);
  }

  /** Waits until the messages on the page are these: texts, and what became of them where they are one's own. */
  async hears(expected) {
    const shown = () =>
      this.page.locator("#messages > li:not(.note)").evaluateAll((items) =>
        items.map((item) => {
          const fate = item.querySelector(".fate");
          const text = item.querySelector(".text").textContent;
          return fate.hidden ? text : `${text} (${fate.firstChild.textContent})`;
        }),
      );
    await this.until("#messages", shown, (texts) => JSON.stringify(texts) === JSON.stringify(expected), expected);
  }

  async until(what, look, fits, expected) {
    const deadline = Date.now() + STEP_MS;
    let seen;
    while (Date.now() < deadline) {
      seen = await look();
      if (fits(seen)) return;
      await after(20);
    }
    const wanted = expected instanceof RegExp ? expected : JSON.stringify(expected);
    throw new Error(`${what} shows ${JSON.stringify(seen)} instead of ${wanted}`);
  }

  clean() {
    equal(this.errors, []);
  }
}

// --- the gallery and the bundle --------------------------------------------------------------------------------------

async function gallery(world) {
  const window = await world.open("/");
  await window.sees("#status", /^serving, \d+ shards?$/);
  await window.sees("#chat-now", "Nobody in it yet: be the first");
  const ann = await world.person("ann");
  await window.sees("#chat-now", "1 person in it now");
  await window.page.getByRole("link", { name: /^Chat/ }).click();
  await window.page.getByLabel("Nickname").waitFor();
  await window.page.goto(`${world.url}/stats.html`);
  await window.sees("#sessions", "1");
  window.clean();
  ann.clean();
}

/** A page that loads the client from where the reference server has it. */
async function bundleAddress(world) {
  const window = await world.open("/stats.html");
  await window.page.addScriptTag({ url: "/socket.io/socket.io.js" });
  const result = await window.page.evaluate(async () => {
    const socket = window.io();
    const joined = await socket.emitWithAck("join", "lobby");
    const { transport } = socket.io.engine;
    socket.close();
    return { joined, transport: typeof transport.name };
  });
  equal(result, { joined: { ok: true, rooms: ["lobby"] }, transport: "string" });
  window.clean();
}

// --- talking ---------------------------------------------------------------------------------------------------------

async function twoWindows(world) {
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  await ann.meets(["ann (you)", "bob"]);
  await ann.sees("#status", "Connected over WebSocket");
  await ann.say("hello 😀");
  await bob.hears(["hello 😀"]);
  await ann.hears(["hello 😀 (sent)"]);
  await bob.say("two\nlines");
  await ann.hears(["hello 😀 (sent)", "two\nlines"]);
  strictEqual(await ann.page.locator("#messages .theirs .from").innerText().then((text) => text.startsWith("bob")), true);
  // Somebody who comes later reads what was said.
  const carol = await world.person("carol");
  await carol.hears(["hello 😀", "two\nlines"]);
  await bob.click({ name: "Leave the chat" });
  await ann.meets(["ann (you)", "carol"]);
  for (const window of [ann, bob, carol]) window.clean();
}

async function typing(world) {
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  await ann.meets(["ann (you)", "bob"]);
  await bob.page.getByLabel("Message", { exact: true }).pressSequentially("hm");
  await ann.sees("#typing", "bob is typing …");
  await bob.page.getByLabel("Message", { exact: true }).fill("");
  await ann.sees("#typing", "");
  await bob.page.getByLabel("Message", { exact: true }).pressSequentially("well");
  await ann.sees("#typing", "bob is typing …");
  await bob.page.keyboard.press("Enter");
  await ann.hears(["well"]);
  await ann.sees("#typing", "");
}

async function unread(world) {
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  await ann.join("Garden");
  await bob.say("one");
  await bob.say("two");
  await ann.page.getByRole("button", { name: "lobby, 2 unread" }).waitFor();
  match(await ann.page.title(), /^\(2\) garden/);
  await ann.click({ name: "lobby, 2 unread" });
  await ann.hears(["one", "two"]);
  await ann.page.getByRole("button", { name: "lobby, 2 here", exact: true }).waitFor();
  match(await ann.page.title(), /^lobby/);
  // Bob sees ann's other room, and comes along.
  await bob.click({ name: "Join garden, 1 here" });
  await bob.sees("#title", "garden");
  await bob.meets(["ann", "bob (you)"]);
}

async function privateMessage(world) {
  const [ann, bob, carol] = [await world.person("ann"), await world.person("bob"), await world.person("carol")];
  await ann.click({ name: "Write to bob in private" });
  await ann.sees("#title", "bob, in private");
  await ann.say("psst");
  await ann.hears(["psst (sent)"]);
  await bob.click({ name: "ann, 1 unread" });
  await bob.hears(["psst"]);
  await bob.say("yes?");
  await ann.hears(["psst (sent)", "yes?"]);
  strictEqual(await carol.page.locator("#private-section").isVisible(), false);
  await carol.hears([]);
}

async function privateMessageToNobody(world) {
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  await ann.click({ name: "Write to bob in private" });
  await ann.say("are you there?");
  await ann.hears(["are you there? (sent)"]);
  await bob.page.close();
  await ann.click({ name: /^lobby/ });
  await ann.meets(["ann (you)"]);
  await ann.click({ name: "bob", exact: true });
  await ann.say("still?");
  const text = "still? (This person is not here any more.)";
  // Whoever has just come may be waited for; then it is said that nobody is there.
  await ann.page.getByRole("button", { name: "Try again" }).waitFor({ timeout: 2 * STEP_MS });
  await ann.hears(["are you there? (sent)", text]);
  // With the same name it is the same person for the others: the message arrives now.
  const again = await world.person("bob");
  await ann.click({ name: "Try again" });
  await ann.hears(["are you there? (sent)", "still? (sent)"]);
  await again.page.getByRole("button", { name: "ann, 1 unread" }).waitFor();
  world.windows.splice(world.windows.indexOf(bob), 1);
}

async function nicknameTaken(world) {
  await world.person("ann");
  const other = await world.open();
  await other.page.getByLabel("Nickname").fill("ANN");
  await other.page.keyboard.press("Enter");
  await other.sees("#entry-error", "The nickname ANN is taken.");
  await other.page.getByLabel("Nickname").fill("bob");
  await other.page.keyboard.press("Enter");
  await other.connected();
  await other.meets(["ann", "bob (you)"]);
}

/** What refuses may be something else than the chat: it is said, not taken for a broken line. */
async function refusedWithoutACode(world) {
  const open = { sid: "session", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 };
  const window = await world.open("/chat.html", (page) =>
    page.route(/\?.*EIO=4/, (route) => {
      const isOpen = route.request().url().includes("sid=");
      const packet = isOpen ? '44/chat,{"message":"Invalid namespace"}' : `0${JSON.stringify(open)}`;
      return route.fulfill({ body: route.request().method() === "POST" ? "ok" : packet });
    }),
  );
  await window.page.getByLabel("Nickname").fill("ann");
  await window.page.keyboard.press("Enter");
  await window.sees("#entry-error", "Invalid namespace");
  await window.sees("#status", "Not connected yet");
}

async function hostileText(world) {
  const [ann, bob] = [await world.person("<i>ann</i>"), await world.person("bob")];
  const text = '<img src=x onerror="document.title=1"><script>alert(1)</script>';
  await ann.join("<b>room</b>");
  await bob.click({ name: "Join <b>room</b>, 1 here" });
  await bob.meets(["<i>ann</i>", "bob (you)"]);
  await ann.say(text);
  await bob.hears([text]);
  strictEqual(await bob.page.locator("#chat img, #chat script, #chat i, #places b b").count(), 0);
  for (const window of [ann, bob]) window.clean();
}

// --- staying ---------------------------------------------------------------------------------------------------------

async function reload(world) {
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  await ann.join("garden");
  await ann.click({ name: /^lobby/ });
  await ann.click({ name: "Write to bob in private" });
  await ann.say("psst");
  await ann.hears(["psst (sent)"]);
  await ann.page.reload();
  await ann.connected();
  await ann.sees("#title", "bob, in private");
  await ann.hears(["psst (sent)"]);
  await ann.page.getByRole("button", { name: "garden, 1 here" }).waitFor();
  await ann.click({ name: "lobby, 2 here" });
  await bob.say("welcome back");
  await ann.hears(["welcome back"]);
  await bob.meets(["ann", "bob (you)"]);
}

/** A copy of a window has its person, too: the newer one is that person, until the older one wants it back. */
async function secondWindowTakesOver(world) {
  const ann = await world.person("ann");
  const saved = await ann.page.evaluate(() => JSON.stringify(sessionStorage));
  const copy = await world.open("/");
  await copy.page.evaluate((text) => Object.assign(sessionStorage, JSON.parse(text)), saved);
  await copy.page.goto(`${world.url}/chat.html`);
  await copy.connected();
  await ann.sees("#status", /^The chat goes on in another window\./);
  await copy.say("from here");
  await copy.hears(["from here (sent)"]);
  await ann.click({ name: "Use this window" });
  strictEqual(await ann.page.evaluate(() => document.activeElement.id), "text");
  await ann.connected();
  await ann.hears(["from here (sent)"]);
  await copy.sees("#status", /^The chat goes on in another window\./);
}

/** Whatever can be done is done without a mouse, and one sees where one is. */
async function keyboard(world) {
  const bob = await world.person("bob");
  const ann = await world.open();
  const { page } = ann;
  const type = (text) => page.keyboard.type(text);
  const press = (key) => page.keyboard.press(key);
  /** Presses `key` until the element with this name has the focus; each stop on the way is visible. */
  const goTo = async (key, wanted) => {
    for (let steps = 0; steps < 30; steps += 1) {
      await press(key);
      const [name, isVisible] = await page.evaluate(() => {
        const { activeElement: element } = document;
        const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
        // The body has it between the page's last element and the first one.
        return [name, element === document.body || getComputedStyle(element).outlineStyle !== "none"];
      });
      ok(isVisible, `the focus on ${JSON.stringify(name)} cannot be seen`);
      if (wanted.test(name)) return;
    }
    throw new Error(`${wanted} is not reached by ${key}`);
  };
  // The nickname's field is where one begins.
  await type("ann");
  await press("Enter");
  await ann.connected();
  await type("with the keyboard");
  await press("Enter");
  await bob.hears(["with the keyboard"]);
  await goTo("Shift+Tab", /^Join or open a room$/);
  await type("garden");
  await press("Enter");
  await ann.sees("#title", "garden");
  await type("nobody hears this");
  await press("Enter");
  await ann.hears(["nobody hears this (sent)"]);
  await goTo("Shift+Tab", /^Leave garden$/);
  await press("Enter");
  await ann.sees("#title", "lobby");
  const focus = () => page.evaluate(() => document.activeElement.id);
  strictEqual(await focus(), "text");
  await goTo("Shift+Tab", /^Leave lobby$/);
  await press("Enter");
  await ann.sees("#title", "No room");
  strictEqual(await focus(), "room");
  await type("lobby");
  await press("Enter");
  await ann.sees("#title", "lobby");
  await goTo("Tab", /^Write to bob in private$/);
  await press("Enter");
  await ann.sees("#title", "bob, in private");
  await type("one");
  await press("Shift+Enter");
  await type("two");
  await press("Enter");
  await ann.hears(["one\ntwo (sent)"]);
  await goTo("Shift+Tab", /^lobby/);
  await press("Enter");
  await ann.hears(["with the keyboard (sent)"]);
}

/** What was typed for one conversation stays there, and a refused message is sent again from where one writes. */
async function drafts(world) {
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  const text = ann.page.getByLabel("Message", { exact: true });
  await ann.click({ name: "Write to bob in private" });
  await text.fill("a secret");
  await ann.click({ name: /^lobby/ });
  await ann.sees("#title", "lobby");
  strictEqual(await text.inputValue(), "");
  await text.pressSequentially("for all");
  await bob.sees("#typing", "ann is typing …");
  await ann.click({ name: "bob", exact: true });
  await bob.sees("#typing", "");
  strictEqual(await text.inputValue(), "a secret");
  await ann.click({ name: /^lobby/ });
  await ann.sees("#title", "lobby");
  strictEqual(await text.inputValue(), "for all");
  await bob.hears([]);
  // Somebody who left: the message fails, and the keyboard goes on after the next try.
  await bob.click({ name: "Leave the chat" });
  await ann.meets(["ann (you)"]);
  await ann.click({ name: "bob", exact: true });
  await ann.page.keyboard.press("Enter");
  const again = ann.page.getByRole("button", { name: "Try again" });
  await again.waitFor({ timeout: 2 * STEP_MS });
  await again.focus();
  await ann.page.keyboard.press("Enter");
  await ann.until("the focus", () => ann.page.evaluate(() => document.activeElement.id), (id) => id === "text", "text");
  for (const window of [ann, bob]) window.clean();
}

async function narrowScreen(world) {
  const bob = await world.person("bob");
  const ann = await world.open();
  const { page } = ann;
  await page.setViewportSize({ width: 390, height: 844 });
  await ann.enter("ann");
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  ok(widths[0] <= widths[1], `the page is wider than the screen: ${widths}`);
  strictEqual(await page.getByRole("button", { name: "Write to bob in private" }).isVisible(), false);
  await ann.click({ name: "2 here" });
  await ann.until("the panel", () => onScreen(page, "#people"), (is) => is, true);
  await ann.click({ name: "Write to bob in private" });
  await ann.sees("#title", "bob, in private");
  await ann.click({ name: /^Rooms/ });
  await ann.until("the panel", () => onScreen(page, "#places"), (is) => is, true);
  await page.keyboard.press("Escape");
  await page.getByLabel("Join or open a room").waitFor({ state: "hidden" });
  await bob.say("hello");
  await ann.sees("#unread-total", "1");
  await ann.click({ name: /^Rooms/ });
  await ann.click({ name: "lobby, 1 unread" });
  await ann.hears(["hello"]);
  const small = await page.locator("button:visible, input:visible, textarea:visible").evaluateAll((controls) =>
    controls.filter((control) => control.getBoundingClientRect().height < 44).map((control) => control.outerHTML),
  );
  equal(small, [], "too small for a finger");
}

/** Whether an element is there in its whole width. */
const onScreen = (page, selector) =>
  page.locator(selector).evaluate((element) => {
    const { left, right } = element.getBoundingClientRect();
    return getComputedStyle(element).visibility === "visible" && left >= 0 && right <= window.innerWidth;
  });

async function pollingOnly(world) {
  await world.server.kill();
  await world.start({ flags: ["--transports", '["polling"]'] });
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  await ann.sees("#status", "Connected over HTTP long-polling");
  await ann.say("slowly");
  await bob.hears(["slowly"]);
}

/** Three messages are typed while there is no server: they wait, and then arrive once and in order. */
async function killedServer(world) {
  const [ann, bob] = [await world.person("ann"), await world.person("bob")];
  await ann.say("before");
  await bob.hears(["before"]);
  await ann.hears(["before (sent)"]);
  const { port } = world.server;
  await world.server.kill();
  await ann.sees("#status", /^The line is broken, reconnecting.*What you write waits here\.$/);
  const texts = ["first", "second", "third"];
  for (const text of texts) await ann.say(text);
  await ann.hears(["before (sent)", ...texts.map((text) => `${text} (waiting)`)]);
  await ann.sees("#status", /^The line is broken, reconnecting.*3 messages wait here and will be sent\.$/);
  await world.start({ port });
  await bob.connected();
  await ann.sees("#status", "Connected over WebSocket");
  await bob.hears(["before", ...texts]);
  await ann.hears(["before (sent)", ...texts.map((text) => `${text} (sent)`)]);
  // Nothing of it comes once more: what is said next is the next message for both.
  await bob.say("after");
  await ann.hears(["before (sent)", ...texts.map((text) => `${text} (sent)`), "after"]);
  await ann.say("fine");
  await bob.hears(["before", ...texts, "after (sent)", "fine"]);
}

/** The server has a message, but its receipt is lost with the line: it is sent again, and heard once. */
async function lostReceipt(world) {
  const bob = await world.person("bob");
  let lost = 0;
  const loseOne = (line) => {
    const server = line.connectToServer();
    line.onMessage((message) => server.send(message));
    server.onMessage((message) => {
      const isReceipt = String(message).startsWith("43/chat,") && String(message).includes('"at":');
      if (isReceipt && lost === 0) {
        lost += 1;
        line.close();
        server.close();
      } else line.send(message);
    });
  };
  const ann = await world.open("/chat.html", (page) => page.routeWebSocket(/socket\.io/, loseOne));
  await ann.enter("ann");
  await ann.sees("#status", "Connected over WebSocket");
  await ann.say("once");
  await ann.hears(["once (sent)"]);
  strictEqual(lost, 1);
  await ann.say("next");
  await bob.hears(["once", "next"]);
  await ann.hears(["once (sent)", "next (sent)"]);
}

/** The module that keeps a conversation in order, by itself. */
async function orderOfMessages(world) {
  const window = await world.open("/");
  const seen = await window.page.evaluate(async () => {
    const { Conversation } = await import("/chat/conversation.js");
    const room = new Conversation("room", "lobby");
    const texts = () => room.messages.map(({ text, state }) => `${text} ${state}`);
    const sent = (id, from, key = `k${id}`, run = 1) => ({ key, from, text: `${from}${id}`, at: id, id, run, state: "sent" });
    const own = (key) => ({ key, from: "ann", text: key, at: 9, state: "waiting", mine: true });
    const steps = [];
    const [first, second] = [own("first"), own("second")];
    steps.push([room.add(sent(1, "bob")), room.add(first), room.add(second), room.add(sent(4, "bob"))], texts());
    // Late, twice, and with a key that somebody else has used.
    steps.push([room.add(sent(2, "carol")), room.add(sent(2, "carol")), room.add(sent(5, "carol", "k4"))], texts());
    // The receipt says that it came before number 4; the other one is heard of by its key alone.
    room.settle(first, { id: 3, at: 3, run: 1 });
    steps.push([room.add({ ...sent(6, "ann", "second"), text: "second" })], texts());
    // Another run of the server begins to count anew.
    steps.push([room.add(sent(1, "bob", "new", 2))], texts());
    for (let id = 10; id < 400; id += 1) room.add(sent(id, "bob", `b${id}`, 2));
    return { steps, count: room.messages.length, last: room.messages.at(-1).id };
  });
  const [before, after] = [
    ["bob1 sent", "carol2 sent"],
    ["bob4 sent", "carol5 sent"],
  ];
  equal(seen.steps, [
    [true, true, true, true],
    ["bob1 sent", "bob4 sent", "first waiting", "second waiting"],
    [true, false, true],
    [...before, ...after, "first waiting", "second waiting"],
    [false],
    [...before, "first sent", ...after, "second sent"],
    [true],
    [...before, "first sent", ...after, "second sent", "bob1 sent"],
  ]);
  equal([seen.count, seen.last], [300, 399]);
}
