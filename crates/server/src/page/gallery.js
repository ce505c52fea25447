// The gallery: what is open, and how busy it is, from /stats.
"use strict";

const byId = (id) => document.getElementById(id);
const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

async function look() {
  try {
    const answer = await fetch("/stats", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
  } catch {
    status("down", "the server does not answer");
  }
}

function show({ version, path, chat, sessions, shards }) {
  byId("version").textContent = version;
  byId("chat-card").hidden = chat === null;
  byId("chat-now").textContent = chat ? `${count(chat, "person", "people")} in it now` : "Nobody in it yet: be the first";
  byId("stats-now").textContent = count(sessions, "open connection", "open connections");
  each(".path", (element) => (element.textContent = path));
  each(".option", (element) => (element.textContent = path === "/socket.io" ? "" : `, { path: "${path}/" }`));
  status("up", `serving, ${count(shards, "shard", "shards")}`);
}

const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

function status(state, text) {
  const element = byId("status");
  element.className = `status ${state}`;
  const span = element.querySelector("span");
  if (span.textContent !== text) span.textContent = text;
}

each(".origin", (element) => (element.textContent = location.origin));
look();
setInterval(() => document.hidden || look(), 2000);
document.addEventListener("visibilitychange", () => document.hidden || look());
