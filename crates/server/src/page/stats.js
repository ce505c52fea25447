// The page of numbers: live from /stats, and a small Socket.IO client to try the server with.
"use strict";

const byId = (id) => document.getElementById(id);

// --- numbers ---------------------------------------------------------------------------------------------------------

const SAMPLES = 60;
const rates = [];
let last = null;
let path = "/socket.io";

async function count() {
  try {
    const answer = await fetch("/stats", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
  } catch {
    status("down", "the server does not answer");
    last = null;
  }
}

function show(stats) {
  const total = stats.packets_in + stats.packets_out;
  const now = performance.now();
  // The server counts once a second; between two counts nothing has changed.
  const rate = last && total >= last.total ? ((total - last.total) * 1000) / (now - last.now) : 0;
  last = { total, now };
  rates.push(rate);
  if (rates.length > SAMPLES) rates.shift();

  path = stats.path;
  byId("option").textContent = path === "/socket.io" ? "" : `, { path: "${path}/" }`;
  byId("version").textContent = stats.version;
  byId("sessions").textContent = number(stats.sessions);
  byId("split").textContent = stats.sessions
    ? `${number(stats.websocket)} WebSocket, ${number(stats.sessions - stats.websocket)} long-polling`
    : "waiting for the first";
  byId("rate").textContent = number(Math.round(rate));
  for (const key of ["sockets", "rooms", "packets_in", "packets_out"]) byId(key).textContent = number(stats[key]);
  byId("bytes_out").textContent = bytes(stats.bytes_out);
  byId("uptime").textContent = duration(stats.uptime);
  status("up", `serving, ${stats.shards} shard${stats.shards === 1 ? "" : "s"}`);
  draw();
}

function status(state, text) {
  const element = byId("status");
  element.className = `status ${state}`;
  const span = element.querySelector("span");
  if (span.textContent !== text) span.textContent = text;
}

function draw() {
  const top = Math.max(10, ...rates);
  const step = 600 / (SAMPLES - 1);
  const first = SAMPLES - rates.length;
  const at = (rate, i) => `${((first + i) * step).toFixed(1)} ${(104 - (rate / top) * 92).toFixed(1)}`;
  const trace = `M0 104L${rates.map(at).join("L")}`;
  byId("line").querySelector(".trace").setAttribute("d", trace);
  byId("line").querySelector(".area").setAttribute("d", `${trace}V104H0Z`);
}

function number(value) {
  return value < 1e6 ? value.toLocaleString("en") : short(value, 1000, ["", "k", "M", "G", "T"]);
}

function bytes(value) {
  return short(value, 1000, [" B", " kB", " MB", " GB", " TB"]);
}

function short(value, base, units) {
  let unit = 0;
  while (value >= base && unit < units.length - 1) {
    value /= base;
    unit += 1;
  }
  return (unit && value < 100 ? value.toFixed(1) : Math.round(value)) + units[unit];
}

function duration(seconds) {
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const from = Math.max(0, parts.findIndex(([, size]) => seconds >= size));
  const whole = seconds ? parts.slice(from, from + 2) : [["s", 1]];
  return whole.map(([unit, size], i) => `${Math.floor((i ? seconds % whole[0][1] : seconds) / size)} ${unit}`).join(" ");
}

byId("origin").textContent = location.origin;
count();
setInterval(() => document.hidden || count(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || count());

// --- trying it -------------------------------------------------------------------------------------------------------

// As much of Engine.IO 4 and Socket.IO 5 as this page needs: one WebSocket, one namespace, events and acknowledgements.
class Line {
  constructor(onEvent, onEnd) {
    this.waiting = new Map();
    this.next = 0;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}${path}/?EIO=4&transport=websocket`);
    this.ready = new Promise((resolve, reject) => {
      this.socket.onmessage = ({ data }) => {
        const packet = String(data);
        if (packet[0] === "0") this.socket.send("40");
        else if (packet === "2") this.socket.send("3");
        else if (packet.startsWith("40")) resolve();
        else if (packet.startsWith("44")) reject(new Error("the server refused this page"));
        else if (packet.startsWith("42")) onEvent(...JSON.parse(packet.slice(packet.indexOf("["))));
        else if (packet.startsWith("43")) {
          const bracket = packet.indexOf("[");
          const id = Number(packet.slice(2, bracket));
          this.waiting.get(id)?.resolve(JSON.parse(packet.slice(bracket))[0]);
          this.waiting.delete(id);
        }
      };
      this.socket.onclose = () => {
        const error = new Error("the connection has ended");
        reject(error);
        for (const { reject } of this.waiting.values()) reject(error);
        onEnd();
      };
    });
  }

  async ask(...event) {
    await this.ready;
    const id = this.next++;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.socket.send(`42${id}${JSON.stringify(event)}`);
    const result = await answer;
    if (!result?.ok) throw new Error(result?.error?.message ?? result?.error ?? "no answer");
    return result;
  }
}

let line = null;
let room = null;

byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const wanted = byId("room").value.trim();
    if (!wanted || wanted === room) return;
    line ??= new Line(heard, ended);
    await line.ask("join", wanted);
    const before = room;
    room = wanted;
    if (before) await line.ask("leave", before);
    note("quiet", `You are in ${room}.`);
    speakable(true);
    byId("text").focus();
  });
});

byId("say").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const text = byId("text").value.trim();
    if (!text || !room) return;
    const { receivers } = await line.ask("publish", room, "said", text);
    byId("text").value = "";
    const others = receivers === 0 ? "nobody else is in the room" : `${receivers} received it`;
    note("mine", `${text} (${others})`);
  });
});

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    note("wrong", error.message);
  }
}

function heard(name, ...data) {
  note("", name === "said" ? String(data[0]) : `${name} ${JSON.stringify(data)}`);
}

function ended() {
  line = null;
  room = null;
  speakable(false);
}

function speakable(yes) {
  for (const element of byId("say").querySelectorAll("input, button")) element.disabled = !yes;
  byId("text").placeholder = yes ? `to everybody in ${room}` : "join a room first";
}

function note(kind, text) {
  const log = byId("log");
  log.querySelector(".quiet:first-child")?.remove();
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = text;
  log.append(item);
  while (log.children.length > 100) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}
